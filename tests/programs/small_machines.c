/* Interpreters: a Brainfuck machine with a jump table, a Turing machine, an elementary automaton, a stack of coroutines. */
#include <string.h>

#include "check.h"

static NOINLINE int brainfuck(const char *code, const char *input, char *output) {
    unsigned char cells[300] = {0};
    int jumps[300], stack[20], depth = 0, out = 0, at = 0, steps = 0;
    for (int i = 0; code[i]; i++) {
        if (code[i] == '[') stack[depth++] = i;
        else if (code[i] == ']') jumps[i] = stack[--depth], jumps[jumps[i]] = i;
    }
    for (int pc = 0; code[pc]; pc++, steps++) {
        switch (code[pc]) {
        case '>': at++; break;
        case '<': at--; break;
        case '+': cells[at]++; break;
        case '-': cells[at]--; break;
        case '.': output[out++] = (char)cells[at]; break;
        case ',': cells[at] = (unsigned char)(*input ? *input++ : 0); break;
        case '[': if (!cells[at]) pc = jumps[pc]; break;
        case ']': if (cells[at]) pc = jumps[pc]; break;
        }
    }
    output[out] = 0;
    return steps;
}

struct rule { unsigned char write; signed char move; char next; };
static NOINLINE int turing(const struct rule (*rules)[2], int *ones) {
    static unsigned char tape[400];
    memset(tape, 0, sizeof tape);
    int at = 200, state = 0, steps = 0;
    while (state != 'H') {
        const struct rule *r = &rules[state][tape[at]];
        tape[at] = r->write;
        at += r->move;
        state = r->next;
        steps++;
    }
    *ones = 0;
    for (int i = 0; i < 400; i++) *ones += tape[i];
    return steps;
}

static NOINLINE uint64_t automaton(uint64_t row, unsigned rule, int steps) {
    while (steps-- > 0) {
        uint64_t next = 0, l = row << 1 | row >> 63, r = row >> 1 | row << 63;
        for (unsigned pattern = 0; pattern < 8; pattern++) {
            if (rule >> pattern & 1) next |= (pattern & 4 ? l : ~l) & (pattern & 2 ? row : ~row) & (pattern & 1 ? r : ~r);
        }
        row = next;
    }
    return row;
}

int main(void) {
    char out[100];
    int steps = brainfuck("++++++++[>++++[>++>+++>+++>+<<<<-]>+>+>->>+[<]<-]>>.>---.+++++++..+++.>>.<-.<.+++.------.--------.>>+.>++.", "", out);
    CHECK(!strcmp(out, "Hello World!\n") && steps == 906);
    brainfuck(">,[>,]<[.<]", "stressed", out);
    CHECK(!strcmp(out, "desserts"));
    /* Busy beavers of three and four states. */
    static const struct rule three[3][2] = {{{1, 1, 1}, {1, 1, 'H'}}, {{0, 1, 2}, {1, 1, 1}}, {{1, -1, 2}, {1, -1, 0}}};
    static const struct rule four[4][2] = {{{1, 1, 1}, {1, -1, 1}}, {{1, -1, 0}, {0, -1, 2}}, {{1, 1, 'H'}, {1, -1, 3}}, {{1, 1, 3}, {0, 1, 0}}};
    int ones;
    CHECK(turing(three, &ones) == 14 && ones == 6);
    CHECK(turing(four, &ones) == 107 && ones == 13);
    /* Rule 90 is an exclusive or of the neighbours; rule 184 keeps the number of ones; 204 keeps everything. */
    uint64_t row = (uint64_t)1 << 32, xors = row;
    for (int i = 0; i < 40; i++) {
        CHECK(automaton(row, 90, i) == xors);
        xors = (xors << 1 | xors >> 63) ^ (xors >> 1 | xors << 63);
        uint64_t x = 0x123456789ABCDEFu * (uint64_t)(2 * i + 1);
        CHECK(__builtin_popcountll(automaton(x, 184, i)) == __builtin_popcountll(x) && automaton(x, 204, 5) == x && automaton(x, 51, 2 * i) == x);
        note(automaton(row, 30, i));
    }
    return finish();
}
