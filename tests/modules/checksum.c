/* Tables, loops and string literals; needs no header. */
typedef unsigned char byte;
typedef unsigned int word;

static word table[256];
static const char *const names[] = {"adler", "crc", "fletcher"};
int calls;

static void fill(void)
{
    for (word i = 0; i < 256; i++) {
        word value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? 0xEDB88320u ^ (value >> 1) : value >> 1;
        table[i] = value;
    }
}

word crc32(const byte *data, unsigned long length)
{
    word value = 0xFFFFFFFFu;
    if (!table[1])
        fill();
    for (unsigned long i = 0; i < length; i++)
        value = table[(value ^ data[i]) & 0xFF] ^ (value >> 8);
    calls++;
    return ~value;
}

word adler32(const byte *data, unsigned long length)
{
    word a = 1, b = 0;
    for (unsigned long i = 0; i < length; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    calls++;
    return b << 16 | a;
}

word fletcher16(const byte *data, unsigned long length)
{
    word a = 0, b = 0;
    while (length--) {
        a = (a + *data++) % 255;
        b = (b + a) % 255;
    }
    calls++;
    return b << 8 | a;
}

static int same(const char *one, const char *other)
{
    while (*one && *one == *other)
        one++, other++;
    return *one == *other;
}

word checksum(const char *name, const byte *data, unsigned long length)
{
    if (same(name, names[0]))
        return adler32(data, length);
    if (same(name, names[1]))
        return crc32(data, length);
    return same(name, names[2]) ? fletcher16(data, length) : 0;
}
