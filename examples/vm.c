/*
 * vm.c - a stack machine for small scripts: an assembler from text, a disassembler, a verifier
 * and an interpreter with a fault for everything that can go wrong at run time.
 *
 * Source: one instruction a line, "name:" defines a label, ".equ NAME value" a constant, and a
 * semicolon starts a comment. Operands are numbers, constants or labels.
 * Code: an opcode byte, then its operand, if any: one byte for slots, two for labels and four
 * for literals, little endian.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CODE 1024
#define MAX_SYMBOLS 64
#define MAX_NAME 16
#define STACK_SIZE 256
#define MAX_FRAMES 64
#define NUM_LOCALS 8
#define MEMORY_SIZE 512
#define OUTPUT_SIZE 512

enum operand { NONE, SLOT, LABEL, LITERAL };

/* X(opcode, name, operand, values popped, values pushed). ENTER takes its operand's number of
 * arguments off the stack into locals 0, 1, ...; GET and SET are for locals, LOAD and STORE for
 * memory at the address on top of the stack. */
/* clang-format off */
#define OPCODES(X)                                                                                                   \
    X(HALT, "halt", NONE, 0, 0) X(PUSH, "push", LITERAL, 0, 1) X(POP, "pop", NONE, 1, 0) X(DUP, "dup", NONE, 1, 2)   \
    X(SWAP, "swap", NONE, 2, 2) X(OVER, "over", NONE, 2, 3) X(ADD, "add", NONE, 2, 1) X(SUB, "sub", NONE, 2, 1)      \
    X(MUL, "mul", NONE, 2, 1) X(DIV, "div", NONE, 2, 1) X(MOD, "mod", NONE, 2, 1) X(NEG, "neg", NONE, 1, 1)          \
    X(AND, "and", NONE, 2, 1) X(OR, "or", NONE, 2, 1) X(XOR, "xor", NONE, 2, 1) X(SHL, "shl", NONE, 2, 1)            \
    X(SHR, "shr", NONE, 2, 1) X(EQ, "eq", NONE, 2, 1) X(LT, "lt", NONE, 2, 1) X(NOT, "not", NONE, 1, 1)              \
    X(JUMP, "jump", LABEL, 0, 0) X(JZ, "jz", LABEL, 1, 0) X(CALL, "call", LABEL, 0, 0) X(ENTER, "enter", SLOT, 0, 0) \
    X(RET, "ret", NONE, 0, 0) X(GET, "get", SLOT, 0, 1) X(SET, "set", SLOT, 1, 0) X(LOAD, "load", NONE, 1, 1)        \
    X(STORE, "store", NONE, 2, 0) X(PRINT, "print", NONE, 1, 0) X(PUTC, "putc", NONE, 1, 0)

enum opcode {
#define X(opcode, name, operand, pops, pushes) OP_##opcode,
    OPCODES(X)
#undef X
    NUM_OPCODES
};
/* clang-format on */

static const struct {
    const char *name;
    enum operand operand;
    uint8_t pops, pushes;
} opcodes[] = {
#define X(opcode, name, operand, pops, pushes) {name, operand, pops, pushes},
    OPCODES(X)
#undef X
};

static const uint8_t operand_bytes[] = {[NONE] = 0, [SLOT] = 1, [LABEL] = 2, [LITERAL] = 4};

struct program {
    uint8_t code[MAX_CODE];
    size_t size;
};

static uint32_t read_operand(const uint8_t *p, enum operand operand) {
    uint32_t value = 0;
    for (int i = 0; i < operand_bytes[operand]; i++)
        value |= (uint32_t)p[i] << (8 * i);
    return value;
}

static void write_operand(uint8_t *p, enum operand operand, uint32_t value) {
    for (int i = 0; i < operand_bytes[operand]; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

/* ---- assembler ----------------------------------------------------------------------------- */

enum asm_error { ASM_OK, ASM_OPCODE, ASM_NAME, ASM_NUMBER, ASM_DUPLICATE, ASM_UNDEFINED, ASM_OPERAND, ASM_TOO_BIG };

struct symbol {
    char name[MAX_NAME];
    uint32_t value;
};

/* Two passes over the source: the first defines the labels, the second knows them all. */
struct assembler {
    struct program *program;
    struct symbol symbols[MAX_SYMBOLS];
    int num_symbols;
    int pass;
};

/* False at the end of the line. A word that is too long becomes empty, and so no valid name. */
static bool next_word(const char **pos, char word[MAX_NAME]) {
    size_t length = 0;
    while (**pos == ' ' || **pos == '\t')
        (*pos)++;
    for (; **pos && !strchr(" \t\n;", **pos); (*pos)++) {
        if (length < MAX_NAME)
            word[length++] = **pos;
    }
    word[length < MAX_NAME ? length : 0] = '\0';
    return length > 0;
}

static bool is_name(const char *word) {
    if (*word == '\0' || isdigit((unsigned char)*word))
        return false;
    while (isalnum((unsigned char)*word) || *word == '_')
        word++;
    return *word == '\0';
}

static bool parse_number(const char *word, uint32_t *value) {
    if (word[0] == '\'' && word[1] && word[2] == '\'') {
        *value = (unsigned char)word[1];
        return word[3] == '\0';
    }
    char *end;
    long long number = strtoll(word, &end, 0);
    *value = (uint32_t)number;
    return *word && *end == '\0' && number >= INT32_MIN && number <= UINT32_MAX;
}

static const struct symbol *find_symbol(const struct assembler *as, const char *name) {
    for (int i = 0; i < as->num_symbols; i++) {
        if (strcmp(as->symbols[i].name, name) == 0)
            return &as->symbols[i];
    }
    return NULL;
}

static enum asm_error define(struct assembler *as, const char *name, uint32_t value) {
    if (as->pass == 2)
        return ASM_OK;
    if (!is_name(name))
        return ASM_NAME;
    if (find_symbol(as, name))
        return ASM_DUPLICATE;
    if (as->num_symbols == MAX_SYMBOLS)
        return ASM_TOO_BIG;
    struct symbol *symbol = &as->symbols[as->num_symbols++];
    memcpy(symbol->name, name, MAX_NAME);
    symbol->value = value;
    return ASM_OK;
}

static enum asm_error assemble_operand(struct assembler *as, enum operand operand, const char *word) {
    struct program *program = as->program;
    uint32_t value = 0;
    if (is_name(word)) {
        const struct symbol *symbol = find_symbol(as, word);
        if (!symbol && as->pass == 2)
            return ASM_UNDEFINED;
        value = symbol ? symbol->value : 0;
    } else if (!parse_number(word, &value)) {
        return ASM_NUMBER;
    }
    write_operand(program->code + program->size, operand, value);
    program->size += operand_bytes[operand];
    return ASM_OK;
}

static enum asm_error assemble_line(struct assembler *as, const char *text) {
    struct program *program = as->program;
    char word[MAX_NAME], name[MAX_NAME];
    uint32_t value;
    if (!next_word(&text, word))
        return ASM_OK;
    if (strcmp(word, ".equ") == 0) {
        if (!next_word(&text, name) || !next_word(&text, word) || !parse_number(word, &value))
            return ASM_NUMBER;
        return define(as, name, value);
    }
    size_t length = strlen(word);
    if (length > 0 && word[length - 1] == ':') {
        word[length - 1] = '\0';
        enum asm_error error = define(as, word, (uint32_t)program->size);
        if (error != ASM_OK || !next_word(&text, word))
            return error;
    }
    for (int opcode = 0; opcode < NUM_OPCODES; opcode++) {
        if (strcmp(opcodes[opcode].name, word) != 0)
            continue;
        if (program->size + 5 > MAX_CODE)
            return ASM_TOO_BIG;
        program->code[program->size++] = (uint8_t)opcode;
        if (next_word(&text, word) != (opcodes[opcode].operand != NONE))
            return ASM_OPERAND;
        if (opcodes[opcode].operand == NONE)
            return ASM_OK;
        return assemble_operand(as, opcodes[opcode].operand, word);
    }
    return ASM_OPCODE;
}

static enum asm_error assemble(const char *source, struct program *program, int *error_line) {
    struct assembler as = {.program = program};
    for (as.pass = 1; as.pass <= 2; as.pass++) {
        program->size = 0;
        *error_line = 1;
        for (const char *line = source; *line; ++*error_line) {
            enum asm_error error = assemble_line(&as, line);
            if (error != ASM_OK)
                return error;
            line += strcspn(line, "\n");
            line += *line == '\n';
        }
    }
    return ASM_OK;
}

/* ---- disassembler and verifier ------------------------------------------------------------- */

/* Writes the instruction at pc as a line of source; returns the address of the next. */
static size_t disassemble(const struct program *program, size_t pc, char *out, size_t out_size) {
    uint8_t opcode = program->code[pc];
    enum operand operand = opcodes[opcode].operand;
    uint32_t value = read_operand(program->code + pc + 1, operand);
    if (operand == NONE)
        snprintf(out, out_size, "%s\n", opcodes[opcode].name);
    else
        snprintf(out, out_size, "%s %ld\n", opcodes[opcode].name, (long)(int32_t)value);
    return pc + 1 + operand_bytes[operand];
}

/* True when all opcodes exist, no instruction is cut off, all jumps land on instructions, and the
 * last instruction does not fall off the end. */
static bool verify(const struct program *program) {
    bool starts[MAX_CODE] = {false};
    size_t pc = 0;
    uint8_t last = OP_ADD;
    while (pc < program->size) {
        starts[pc] = true;
        last = program->code[pc];
        if (last >= NUM_OPCODES)
            return false;
        pc += 1u + operand_bytes[opcodes[last].operand];
    }
    if (pc != program->size || (last != OP_HALT && last != OP_RET && last != OP_JUMP))
        return false;
    for (pc = 0; pc < program->size; pc += 1u + operand_bytes[opcodes[program->code[pc]].operand]) {
        if (opcodes[program->code[pc]].operand != LABEL)
            continue;
        uint32_t target = read_operand(program->code + pc + 1, LABEL);
        if (target >= program->size || !starts[target])
            return false;
    }
    return true;
}

/* ---- interpreter --------------------------------------------------------------------------- */

enum fault {
    FAULT_NONE,
    FAULT_UNDERFLOW,
    FAULT_OVERFLOW,
    FAULT_FRAMES,
    FAULT_LOCAL,
    FAULT_ADDRESS,
    FAULT_DIVIDE,
    FAULT_OUTPUT,
    FAULT_STEPS,
};

struct frame {
    uint16_t return_pc;
    int32_t locals[NUM_LOCALS];
};

struct vm {
    int32_t stack[STACK_SIZE];
    int depth;
    struct frame frames[MAX_FRAMES];
    int num_frames;
    int32_t memory[MEMORY_SIZE];
    char output[OUTPUT_SIZE];
    size_t output_size;
    unsigned long steps;
};

/* Arithmetic wraps around; division rounds towards zero, and INT32_MIN / -1 is INT32_MIN. */
static int32_t binary(enum opcode opcode, int32_t a, int32_t b) {
    uint32_t x = (uint32_t)a, y = (uint32_t)b;
    switch (opcode) {
    case OP_ADD:
        return (int32_t)(x + y);
    case OP_SUB:
        return (int32_t)(x - y);
    case OP_MUL:
        return (int32_t)(x * y);
    case OP_DIV:
        return b == -1 ? (int32_t)(0 - x) : a / b;
    case OP_MOD:
        return b == -1 ? 0 : a % b;
    case OP_AND:
        return a & b;
    case OP_OR:
        return a | b;
    case OP_XOR:
        return a ^ b;
    case OP_SHL:
        return (int32_t)(x << (y & 31));
    case OP_SHR:
        return (int32_t)(x >> (y & 31));
    case OP_EQ:
        return a == b;
    default:
        return a < b;
    }
}

static enum fault write_text(struct vm *vm, const char *text) {
    size_t length = strlen(text);
    if (length >= OUTPUT_SIZE - vm->output_size)
        return FAULT_OUTPUT;
    memcpy(vm->output + vm->output_size, text, length + 1);
    vm->output_size += length;
    return FAULT_NONE;
}

/* One instruction of a verified program; the stack holds what it pops and has room for its result. */
static enum fault execute(struct vm *vm, enum opcode opcode, uint32_t operand, size_t *pc, bool *halted) {
    struct frame *frame = &vm->frames[vm->num_frames - 1];
    int32_t *top = vm->stack + vm->depth - opcodes[opcode].pops, swap;
    char text[16];
    vm->depth += opcodes[opcode].pushes - opcodes[opcode].pops;
    switch (opcode) {
    case OP_HALT:
        *halted = true;
        return FAULT_NONE;
    case OP_PUSH:
        top[0] = (int32_t)operand;
        return FAULT_NONE;
    case OP_POP:
        return FAULT_NONE;
    case OP_DUP:
        top[1] = top[0];
        return FAULT_NONE;
    case OP_SWAP:
        swap = top[0];
        top[0] = top[1];
        top[1] = swap;
        return FAULT_NONE;
    case OP_OVER:
        top[2] = top[0];
        return FAULT_NONE;
    case OP_NEG:
        top[0] = (int32_t)(0 - (uint32_t)top[0]);
        return FAULT_NONE;
    case OP_NOT:
        top[0] = !top[0];
        return FAULT_NONE;
    case OP_JUMP:
    case OP_JZ:
        if (opcode == OP_JUMP || top[0] == 0)
            *pc = operand;
        return FAULT_NONE;
    case OP_CALL:
        if (vm->num_frames == MAX_FRAMES)
            return FAULT_FRAMES;
        frame = &vm->frames[vm->num_frames++];
        memset(frame, 0, sizeof *frame);
        frame->return_pc = (uint16_t)*pc;
        *pc = operand;
        return FAULT_NONE;
    case OP_ENTER:
        if (operand > NUM_LOCALS)
            return FAULT_LOCAL;
        if ((uint32_t)vm->depth < operand)
            return FAULT_UNDERFLOW;
        while (operand > 0)
            frame->locals[--operand] = vm->stack[--vm->depth];
        return FAULT_NONE;
    case OP_RET:
        if (vm->num_frames == 1)
            return FAULT_FRAMES;
        *pc = frame->return_pc;
        vm->num_frames--;
        return FAULT_NONE;
    case OP_GET:
    case OP_SET:
        if (operand >= NUM_LOCALS)
            return FAULT_LOCAL;
        if (opcode == OP_GET)
            top[0] = frame->locals[operand];
        else
            frame->locals[operand] = top[0];
        return FAULT_NONE;
    case OP_LOAD:
        if ((uint32_t)top[0] >= MEMORY_SIZE)
            return FAULT_ADDRESS;
        top[0] = vm->memory[top[0]];
        return FAULT_NONE;
    case OP_STORE: /* value, then address */
        if ((uint32_t)top[1] >= MEMORY_SIZE)
            return FAULT_ADDRESS;
        vm->memory[top[1]] = top[0];
        return FAULT_NONE;
    case OP_PRINT:
        snprintf(text, sizeof text, "%ld ", (long)top[0]);
        return write_text(vm, text);
    case OP_PUTC:
        text[0] = (char)top[0];
        text[1] = '\0';
        return write_text(vm, text);
    default:
        if ((opcode == OP_DIV || opcode == OP_MOD) && top[1] == 0)
            return FAULT_DIVIDE;
        top[0] = binary(opcode, top[0], top[1]);
        return FAULT_NONE;
    }
}

/* Runs a verified program from address 0. *stopped_at is the last instruction's address. */
static enum fault run(struct vm *vm, const struct program *program, unsigned long max_steps, size_t *stopped_at) {
    memset(vm, 0, sizeof *vm);
    vm->num_frames = 1;
    size_t pc = 0;
    for (bool halted = false; !halted; vm->steps++) {
        enum opcode opcode = (enum opcode)program->code[pc];
        enum operand operand = opcodes[opcode].operand;
        *stopped_at = pc;
        if (vm->steps == max_steps)
            return FAULT_STEPS;
        if (vm->depth < opcodes[opcode].pops)
            return FAULT_UNDERFLOW;
        if (vm->depth - opcodes[opcode].pops + opcodes[opcode].pushes > STACK_SIZE)
            return FAULT_OVERFLOW;
        pc += 1u + operand_bytes[operand];
        enum fault fault = execute(vm, opcode, read_operand(program->code + *stopped_at + 1, operand), &pc, &halted);
        if (fault != FAULT_NONE)
            return fault;
    }
    return FAULT_NONE;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;
static struct program program;
static struct vm vm;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("vm.c:%d: failed: %s\n", line, what);
    }
}
#define CHECK(condition) check((condition), #condition, __LINE__)

static const char fib_source[] = "       push 20\n call fib\n print\n halt\n"
                                 "fib:   enter 1\n get 0\n push 2\n lt\n jz more\n get 0\n ret\n"
                                 "more:  get 0\n push 1\n sub\n call fib\n"
                                 "       get 0\n push 2\n sub\n call fib\n add\n ret\n";

/* Memory n is 1 when n is composite. Local 0 is the candidate, local 1 its multiple. */
static const char sieve_source[] = ".equ limit 100\n"
                                   "       push 2\n set 0\n"
                                   "next:  get 0\n push limit\n lt\n jz done\n"
                                   "       get 0\n load\n not\n jz step\n"
                                   "       get 0\n print\n get 0\n dup\n mul\n set 1\n"
                                   "mark:  get 1\n push limit\n lt\n jz step\n"
                                   "       push 1\n get 1\n store\n get 1\n get 0\n add\n set 1\n jump mark\n"
                                   "step:  get 0\n push 1\n add\n set 0\n jump next\n"
                                   "done:  halt\n";

/* Fills memory from a linear congruential generator, sorts it by insertion. */
static const char sort_source[] =
    ".equ count 20\n"
    "       push 7\n push 0\n set 0\n"
    "fill:  get 0\n push count\n lt\n jz sort\n"
    "       push 1103515245\n mul\n push 12345\n add ; the generator's state stays on the stack\n"
    "       dup\n push 16\n shr\n push 100\n mod\n push 50\n sub\n get 0\n store\n"
    "       get 0\n push 1\n add\n set 0\n jump fill\n"
    "sort:  pop\n push 1\n set 0\n"
    "outer: get 0\n push count\n lt\n jz done\n get 0\n load\n set 1\n get 0\n set 2\n"
    "inner: push 0\n get 2\n lt\n jz place\n get 1\n get 2\n push 1\n sub\n load\n lt\n jz place\n"
    "       get 2\n push 1\n sub\n load\n get 2\n store\n get 2\n push 1\n sub\n set 2\n jump inner\n"
    "place: get 1\n get 2\n store\n get 0\n push 1\n add\n set 0\n jump outer\n"
    "done:  halt\n";

static enum fault run_source(const char *source) {
    int line;
    size_t stopped_at;
    bool ok = assemble(source, &program, &line) == ASM_OK && verify(&program);
    check(ok, source, __LINE__);
    return ok ? run(&vm, &program, 1000000, &stopped_at) : FAULT_STEPS;
}

static void check_programs(void) {
    CHECK(run_source(fib_source) == FAULT_NONE && strcmp(vm.output, "6765 ") == 0);
    CHECK(run_source(sieve_source) == FAULT_NONE);
    CHECK(strcmp(vm.output, "2 3 5 7 11 13 17 19 23 29 31 37 41 43 47 53 59 61 67 71 73 79 83 89 97 ") == 0);
    CHECK(run_source(sort_source) == FAULT_NONE);
    uint32_t state = 7, sum = 0;
    for (int i = 0; i < 20; i++) {
        state = state * 1103515245u + 12345u;
        sum += (state >> 16) % 100 - 50 - (uint32_t)vm.memory[i];
        CHECK(i == 0 || vm.memory[i - 1] <= vm.memory[i]);
    }
    CHECK(sum == 0);
    CHECK(run_source("push 12\n push 10\n and\n push 3\n or\n push -6\n neg\n xor\n push 13\n eq\n"
                     "push 'k'\n swap\n print\n putc\n halt\n") == FAULT_NONE);
    CHECK(strcmp(vm.output, "1 k") == 0);
}

static void check_faults(void) {
    static const struct {
        const char *source;
        enum fault fault;
    } cases[] = {
        {"push 1\nadd\nhalt", FAULT_UNDERFLOW},
        {"l: push 1\njump l", FAULT_OVERFLOW},
        {"f: call f\nhalt", FAULT_FRAMES},
        {"ret", FAULT_FRAMES},
        {"get 8\nhalt", FAULT_LOCAL},
        {"push 512\nload\nhalt", FAULT_ADDRESS},
        {"push 1\npush -1\nstore\nhalt", FAULT_ADDRESS},
        {"push 1\npush 0\nmod\nhalt", FAULT_DIVIDE},
        {"l: push 7\nprint\njump l", FAULT_OUTPUT},
        {"l: jump l", FAULT_STEPS},
        {"push 0x80000000\npush -1\ndiv\nhalt", FAULT_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(run_source(cases[i].source) == cases[i].fault, cases[i].source, __LINE__);
    CHECK(vm.depth == 1 && vm.stack[0] == INT32_MIN);
}

static void check_assembler_errors(void) {
    static const struct {
        const char *source;
        enum asm_error error;
        int line;
    } cases[] = {
        {"halt\n\nhlat", ASM_OPCODE, 3},       {"1x: halt", ASM_NAME, 1},
        {"push 5000000000", ASM_NUMBER, 1},    {"; x\na: halt\na: halt", ASM_DUPLICATE, 3},
        {"jump away\nhalt", ASM_UNDEFINED, 1}, {"add 1", ASM_OPERAND, 1},
        {"push ; 1", ASM_OPERAND, 1},          {"push a_name_too_long_", ASM_NUMBER, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int line;
        enum asm_error error = assemble(cases[i].source, &program, &line);
        check(error == cases[i].error && line == cases[i].line, cases[i].source, __LINE__);
    }
}

/* What the disassembler prints assembles to the same code. */
static void check_disassembler(const char *source) {
    static char text[4 * MAX_CODE];
    static struct program again;
    int line;
    CHECK(assemble(source, &program, &line) == ASM_OK);
    size_t used = 0;
    for (size_t pc = 0; pc < program.size; used += strlen(text + used))
        pc = disassemble(&program, pc, text + used, sizeof text - used);
    CHECK(assemble(text, &again, &line) == ASM_OK);
    CHECK(again.size == program.size && memcmp(again.code, program.code, program.size) == 0);
}

/* Whatever the verifier lets through, the interpreter runs without going out of bounds. */
static void check_damage(void) {
    int line, accepted = 0;
    size_t stopped_at;
    CHECK(assemble(sort_source, &program, &line) == ASM_OK);
    for (size_t i = 0; i < program.size; i++) {
        uint8_t original = program.code[i];
        for (unsigned value = 0; value < 256; value += 5) {
            program.code[i] = (uint8_t)value;
            if (!verify(&program))
                continue;
            accepted++;
            enum fault fault = run(&vm, &program, 2000, &stopped_at);
            CHECK(fault <= FAULT_STEPS && stopped_at < program.size);
        }
        program.code[i] = original;
    }
    CHECK(accepted > 1000);
}

int main(void) {
    check_programs();
    check_faults();
    check_assembler_errors();
    check_disassembler(fib_source);
    check_disassembler(sort_source);
    check_damage();
    if (checks_failed) {
        printf("vm: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("vm: ok (%d checks)\n", checks_run);
    return 0;
}
