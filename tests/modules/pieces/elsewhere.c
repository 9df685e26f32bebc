/* The bodies of inline.c's external functions that are not its own. */
int outside(int x) { return x * 3 + 1; }
