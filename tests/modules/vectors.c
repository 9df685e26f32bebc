/* Four of the same, side by side, for the SLP vectorizer; needs no header. */
void shift(float *restrict point, const float *restrict by)
{
    point[0] = point[0] * by[4] + by[0];
    point[1] = point[1] * by[5] + by[1];
    point[2] = point[2] * by[6] + by[2];
    point[3] = point[3] * by[7] + by[3];
}
