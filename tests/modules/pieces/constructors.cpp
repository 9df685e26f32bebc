// C++ whose constructors and destructors have two names each, aliases: called, in tables of virtual functions, in startup code.
static int alive, steps;
void operator delete(void *, unsigned long) noexcept { steps += 100; }

struct Counted {
    int number;
    Counted(int number);
    Counted(const Counted &other);
    virtual ~Counted();
    virtual int twice() const;
};
Counted::Counted(int number) : number(number) { alive += number; }
Counted::Counted(const Counted &other) : number(other.number + 1) { alive += number; }
Counted::~Counted() { alive -= number; steps++; }
int Counted::twice() const { return number * 2; }

struct Longer : Counted {
    int more;
    Longer(int number, int more);
    ~Longer() override;
    int twice() const override;
};
Longer::Longer(int number, int more) : Counted(number), more(more) { steps += more; }
Longer::~Longer() { steps += 10 * more; }
int Longer::twice() const { return Counted::twice() + more; }

__attribute__((noinline)) static int look_at(Counted &counted) { return counted.twice(); }
__attribute__((noinline)) static void destroy(Counted *counted) { counted->~Counted(); }

alignas(Longer) static char place[sizeof(Longer)];
inline void *operator new(unsigned long, void *at) noexcept { return at; }
static Counted early(7);

int main()
{
    if (alive != 7 || look_at(early) != 14)
        return 1;
    {
        Counted one(3), copy(one);
        Longer longer(5, 2);
        if (alive != 7 + 3 + 4 + 5 || look_at(copy) != 8 || look_at(longer) != 12)
            return 2;
    }
    if (alive != 7 || steps != 2 + 20 + 3)
        return 3;
    destroy(new (place) Longer(1, 3));
    return alive != 7 || steps != 25 + 3 + 30 + 1;
}
