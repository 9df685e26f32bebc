/* An interpreter: a switch that becomes a jump table, a lookup table, calls through pointers; needs no header. */
enum { PUSH, ADD, SUB, MUL, DIV, MOD, AND, OR, XOR, SHL, SHR, DUP, SWAP, DROP, JUMP, JUMPZ, CALL, HALT };

struct machine {
    long stack[64];
    int top;
    int at;
    const int *code;
    long (*calls[4])(long);
};

static void push(struct machine *machine, long value)
{
    if (machine->top < 64)
        machine->stack[machine->top++] = value;
}

static long pop(struct machine *machine)
{
    return machine->top > 0 ? machine->stack[--machine->top] : 0;
}

int step(struct machine *machine)
{
    long right, left;
    int operation = machine->code[machine->at++];
    switch (operation) {
    case PUSH: push(machine, machine->code[machine->at++]); return 1;
    case DUP: left = pop(machine); push(machine, left); push(machine, left); return 1;
    case SWAP: right = pop(machine); left = pop(machine); push(machine, right); push(machine, left); return 1;
    case DROP: pop(machine); return 1;
    case JUMP: machine->at = machine->code[machine->at]; return 1;
    case JUMPZ: machine->at = pop(machine) ? machine->at + 1 : machine->code[machine->at]; return 1;
    case CALL: push(machine, machine->calls[machine->code[machine->at++] & 3](pop(machine))); return 1;
    case HALT: return 0;
    }
    right = pop(machine);
    left = pop(machine);
    switch (operation) {
    case ADD: push(machine, left + right); break;
    case SUB: push(machine, left - right); break;
    case MUL: push(machine, left * right); break;
    case DIV: push(machine, right ? left / right : 0); break;
    case MOD: push(machine, right ? left % right : 0); break;
    case AND: push(machine, left & right); break;
    case OR: push(machine, left | right); break;
    case XOR: push(machine, left ^ right); break;
    case SHL: push(machine, left << (right & 63)); break;
    case SHR: push(machine, left >> (right & 63)); break;
    default: return 0;
    }
    return 1;
}

long run(struct machine *machine, const int *code, int limit)
{
    machine->top = machine->at = 0;
    machine->code = code;
    while (limit-- > 0 && step(machine))
        ;
    return pop(machine);
}

const char *describe(int operation)
{
    switch (operation) {
    case PUSH: return "push";
    case ADD: return "add";
    case SUB: return "sub";
    case MUL: return "mul";
    case DIV: return "div";
    case JUMP: return "jump";
    case JUMPZ: return "jumpz";
    case HALT: return "halt";
    }
    return "other";
}

int dispatch(int kind, int value)
{
    extern int first(int), second(int), third(int), fourth(int), fifth(int), sixth(int);
    switch (kind) {
    case 0: return first(value) + 1;
    case 1: return second(value) * 3;
    case 2: return third(value) - value;
    case 3: return fourth(value + 7);
    case 4: return fifth(value) ^ kind;
    case 5: return sixth(value) / 5;
    }
    return value;
}
