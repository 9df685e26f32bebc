/* Functions of equal and similar code, as mergefunc and the outliner like them, told apart by address. */
static int area_of_box(int w, int h) { return (w * h * 3 + w / 2 - h / 3) ^ (w << 2); }
static int area_of_page(int w, int h) { return (w * h * 3 + w / 2 - h / 3) ^ (w << 2); }
static int area_of_wall(int w, int h) { return (w * h * 3 + w / 2 - h / 3) ^ (w << 2); }
int price_of_box(int n) { return area_of_box(n, n + 1) * 11 + area_of_page(n, 2); }
int price_of_page(int n) { return area_of_box(n, n + 1) * 11 + area_of_page(n, 2); }
int price_of_wall(int n) { return area_of_wall(n, n + 1) * 13 + area_of_page(n, 2); }

static int (*const areas[])(int, int) = {area_of_box, area_of_page, area_of_wall};

int different(void)
{
    return areas[0] != areas[1] && areas[1] != areas[2] && price_of_box != price_of_page;
}

int scan(const int *at, int count)
{
    int low = 1 << 30, high = -low, sum = 0;
    for (int i = 0; i < count; i++) {
        low = at[i] < low ? at[i] : low;
        high = at[i] > high ? at[i] : high;
        sum += at[i] * 3 + (at[i] >> 1);
    }
    return low + high * 7 + sum;
}

int scan_again(const int *at, int count)
{
    int low = 1 << 30, high = -low, sum = 1;
    for (int i = 0; i < count; i++) {
        low = at[i] < low ? at[i] : low;
        high = at[i] > high ? at[i] : high;
        sum += at[i] * 3 + (at[i] >> 1);
    }
    return low + high * 7 + sum;
}

int main(void)
{
    static const int numbers[] = {4, -7, 19, 0, 33};
    if (!different() || price_of_box(4) != price_of_page(4) || price_of_wall(4) != 595)
        return 1;
    if (scan(numbers, 5) != -7 + 33 * 7 + 3 * 49 + (2 - 4 + 9 + 16))
        return 2;
    return scan_again(numbers, 5) != scan(numbers, 5) + 1;
}
