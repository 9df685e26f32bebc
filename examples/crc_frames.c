/*
 * crc_frames.c - framing for serial links: CRC-16 and CRC-32, SLIP (RFC 1055), COBS, packets of
 * payload and CRC-32 in COBS, and a receiver for frames with a sync word and CRC-16, a state
 * machine fed byte by byte that finds its way back after noise. A channel that flips, drops and
 * inserts bytes puts it to the test.
 *
 * A frame: A5 5A, type, sequence number, payload size, payload, CRC-16 of type to payload,
 * the high byte first.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- CRC ----------------------------------------------------------------------------------- */

/* CRC-16/IBM-3740 (also CCITT-FALSE): polynomial 1021, a nibble at a time. */
static uint16_t crc16(const uint8_t *data, size_t size) {
    static const uint16_t table[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
    };
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < size; i++) {
        crc = (uint16_t)(crc << 4 ^ table[crc >> 12 ^ data[i] >> 4]);
        crc = (uint16_t)(crc << 4 ^ table[crc >> 12 ^ (data[i] & 15)]);
    }
    return crc;
}

static uint32_t crc32_table[256];

static void crc32_init(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
        crc32_table[i] = crc;
    }
}

/* CRC-32/ISO-HDLC, as in Ethernet and zip. Start with 0; pass the result on to continue. */
static uint32_t crc32(uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ crc32_table[(crc ^ data[i]) & 0xFF];
    return ~crc;
}

/* ---- SLIP ---------------------------------------------------------------------------------- */

enum { SLIP_END = 0xC0, SLIP_ESC = 0xDB, SLIP_ESC_END = 0xDC, SLIP_ESC_ESC = 0xDD };

/* Needs up to 2 * size + 2 bytes. The END in front flushes what noise may have left behind. */
static size_t slip_encode(const uint8_t *data, size_t size, uint8_t *out) {
    size_t n = 0;
    out[n++] = SLIP_END;
    for (size_t i = 0; i < size; i++) {
        switch (data[i]) {
        case SLIP_END:
            out[n++] = SLIP_ESC;
            out[n++] = SLIP_ESC_END;
            break;
        case SLIP_ESC:
            out[n++] = SLIP_ESC;
            out[n++] = SLIP_ESC_ESC;
            break;
        default:
            out[n++] = data[i];
        }
    }
    out[n++] = SLIP_END;
    return n;
}

struct slip_decoder {
    uint8_t *buffer;
    size_t capacity, size;
    bool escaped, broken;
};

/* Takes a byte; true when it ends a packet, of *size bytes in the buffer. Empty, too long and
 * wrongly escaped packets are dropped without a word. */
static bool slip_feed(struct slip_decoder *slip, uint8_t byte, size_t *size) {
    if (byte == SLIP_END) {
        bool complete = slip->size > 0 && !slip->broken && !slip->escaped;
        *size = slip->size;
        slip->size = 0;
        slip->escaped = slip->broken = false;
        return complete;
    }
    if (byte == SLIP_ESC && !slip->escaped) {
        slip->escaped = true;
        return false;
    }
    if (slip->escaped) {
        slip->escaped = false;
        if (byte == SLIP_ESC_END)
            byte = SLIP_END;
        else if (byte == SLIP_ESC_ESC)
            byte = SLIP_ESC;
        else
            slip->broken = true;
    }
    if (slip->size == slip->capacity)
        slip->broken = true;
    else
        slip->buffer[slip->size++] = byte;
    return false;
}

/* ---- COBS ---------------------------------------------------------------------------------- */

/* Needs up to size + size / 254 + 1 bytes; none of them is zero. */
static size_t cobs_encode(const uint8_t *data, size_t size, uint8_t *out) {
    size_t code_at = 0, n = 1;
    uint8_t code = 1;
    for (size_t i = 0; i < size; i++) {
        if (data[i] != 0) {
            out[n++] = data[i];
            code++;
        }
        if (data[i] == 0 || (code == 0xFF && i + 1 < size)) {
            out[code_at] = code;
            code_at = n++;
            code = 1;
        }
    }
    out[code_at] = code;
    return n;
}

/* May decode in place. False for a zero byte and for a code that points past the end. */
static bool cobs_decode(const uint8_t *data, size_t size, uint8_t *out, size_t *out_size) {
    size_t n = 0, i = 0;
    while (i < size) {
        uint8_t code = data[i++];
        if (code == 0 || (size_t)(code - 1) > size - i)
            return false;
        for (uint8_t k = 1; k < code; k++) {
            if (data[i] == 0)
                return false;
            out[n++] = data[i++];
        }
        if (code != 0xFF && i < size)
            out[n++] = 0;
    }
    *out_size = n;
    return size > 0;
}

#define PACKET_MAX 512
#define PACKET_WIRE_MAX (PACKET_MAX + 4 + PACKET_MAX / 254 + 3)

/* A payload of up to PACKET_MAX bytes and its CRC-32, lowest byte first, in COBS, and a zero to end it. */
static size_t packet_encode(const uint8_t *payload, size_t size, uint8_t *wire) {
    uint8_t plain[PACKET_MAX + 4];
    uint32_t crc = crc32(0, payload, size);
    memcpy(plain, payload, size);
    for (int i = 0; i < 4; i++)
        plain[size + (size_t)i] = (uint8_t)(crc >> (8 * i));
    size_t n = cobs_encode(plain, size + 4, wire);
    wire[n++] = 0;
    return n;
}

/* Takes what came between two zeros, and decodes it in place. */
static bool packet_decode(uint8_t *wire, size_t wire_size, size_t *size) {
    size_t plain_size;
    if (!cobs_decode(wire, wire_size, wire, &plain_size) || plain_size < 4)
        return false;
    *size = plain_size - 4;
    uint32_t crc = 0;
    for (int i = 0; i < 4; i++)
        crc |= (uint32_t)wire[*size + (size_t)i] << (8 * i);
    return crc32(0, wire, *size) == crc;
}

/* ---- frames with a sync word --------------------------------------------------------------- */

#define SYNC1 0xA5
#define SYNC2 0x5A
#define PAYLOAD_MAX 64
#define FRAME_OVERHEAD 7
#define FRAME_MAX (PAYLOAD_MAX + FRAME_OVERHEAD)

struct frame {
    uint8_t type, sequence, size;
    uint8_t payload[PAYLOAD_MAX];
};

static size_t frame_encode(const struct frame *frame, uint8_t *wire) {
    wire[0] = SYNC1;
    wire[1] = SYNC2;
    wire[2] = frame->type;
    wire[3] = frame->sequence;
    wire[4] = frame->size;
    memcpy(wire + 5, frame->payload, frame->size);
    uint16_t crc = crc16(wire + 2, 3u + frame->size);
    wire[5 + frame->size] = (uint8_t)(crc >> 8);
    wire[6 + frame->size] = (uint8_t)crc;
    return FRAME_OVERHEAD + (size_t)frame->size;
}

enum receiver_state { RX_SYNC1, RX_SYNC2, RX_TYPE, RX_SEQUENCE, RX_SIZE, RX_PAYLOAD, RX_CRC_HIGH, RX_CRC_LOW };

struct receiver {
    enum receiver_state state;
    uint8_t raw[FRAME_MAX]; /* from the sync word on; kept to look at again if it is no frame */
    size_t raw_size, next;
    uint32_t num_frames, num_bad, num_skipped;
    void (*on_frame)(void *context, const struct frame *frame);
    void *context;
};

enum verdict { VERDICT_MORE, VERDICT_SKIP, VERDICT_BAD, VERDICT_FRAME };

/* One transition of the state machine; raw[0] to raw[next - 1] is what it has taken. */
static enum verdict advance(struct receiver *rx, uint8_t byte) {
    switch (rx->state) {
    case RX_SYNC1:
        if (byte != SYNC1)
            return VERDICT_SKIP;
        rx->state = RX_SYNC2;
        return VERDICT_MORE;
    case RX_SYNC2:
        if (byte != SYNC2)
            return VERDICT_SKIP;
        rx->state = RX_TYPE;
        return VERDICT_MORE;
    case RX_TYPE:
        rx->state = RX_SEQUENCE;
        return VERDICT_MORE;
    case RX_SEQUENCE:
        rx->state = RX_SIZE;
        return VERDICT_MORE;
    case RX_SIZE:
        if (byte > PAYLOAD_MAX)
            return VERDICT_BAD;
        rx->state = byte > 0 ? RX_PAYLOAD : RX_CRC_HIGH;
        return VERDICT_MORE;
    case RX_PAYLOAD:
        if (rx->next == 5u + rx->raw[4])
            rx->state = RX_CRC_HIGH;
        return VERDICT_MORE;
    case RX_CRC_HIGH:
        rx->state = RX_CRC_LOW;
        return VERDICT_MORE;
    default:
        return crc16(rx->raw + 2, rx->next - 4) == (rx->raw[rx->next - 2] << 8 | byte) ? VERDICT_FRAME : VERDICT_BAD;
    }
}

static void drop(struct receiver *rx, size_t count) {
    rx->raw_size -= count;
    memmove(rx->raw, rx->raw + count, rx->raw_size);
    rx->next = 0;
    rx->state = RX_SYNC1;
}

static void deliver(struct receiver *rx) {
    struct frame frame = {.type = rx->raw[2], .sequence = rx->raw[3], .size = rx->raw[4]};
    memcpy(frame.payload, rx->raw + 5, frame.size);
    rx->num_frames++;
    rx->on_frame(rx->context, &frame);
}

/* Runs over the bytes that are there. After a false start the search begins anew one byte on. */
static void process(struct receiver *rx) {
    while (rx->next < rx->raw_size) {
        uint8_t byte = rx->raw[rx->next++];
        switch (advance(rx, byte)) {
        case VERDICT_MORE:
            break;
        case VERDICT_FRAME:
            deliver(rx);
            drop(rx, rx->next);
            break;
        case VERDICT_BAD:
            rx->num_bad++;
            rx->num_skipped++;
            drop(rx, 1);
            break;
        case VERDICT_SKIP:
            rx->num_skipped++;
            drop(rx, 1);
            break;
        }
    }
}

static void receiver_feed(struct receiver *rx, uint8_t byte) {
    rx->raw[rx->raw_size++] = byte;
    process(rx);
}

/* The line has been silent for longer than a frame may pause: what is incomplete stays so. */
static void receiver_timeout(struct receiver *rx) {
    while (rx->raw_size > 0) {
        rx->num_bad++;
        rx->num_skipped++;
        drop(rx, 1);
        process(rx);
    }
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("crc_frames.c:%d: failed: %s\n", line, what);
    }
}
#define CHECK(condition) check((condition), #condition, __LINE__)

static uint32_t random_below(uint32_t bound) {
    static uint32_t state = 0xC0FFEE;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (state >> 4) % bound;
}

/* Random bytes in which the special values are common. */
static void fill(uint8_t *data, size_t size) {
    static const uint8_t special[] = {0x00, 0xFF, SLIP_END, SLIP_ESC, SLIP_ESC_END, SYNC1, SYNC2, 0x01};
    for (size_t i = 0; i < size; i++)
        data[i] = random_below(3) ? (uint8_t)random_below(256) : special[random_below(sizeof special)];
}

static void check_crc(void) {
    static const uint8_t digits[] = "123456789";
    CHECK(crc16(digits, 9) == 0x29B1 && crc16(digits, 0) == 0xFFFF);
    CHECK(crc32(0, digits, 9) == 0xCBF43926u && crc32(0, digits, 0) == 0);
    for (size_t cut = 0; cut <= 9; cut++)
        CHECK(crc32(crc32(0, digits, cut), digits + cut, 9 - cut) == 0xCBF43926u);

    /* Every error of up to two bits, and every burst of up to sixteen, changes the CRC-16. */
    uint8_t data[40];
    fill(data, sizeof data);
    uint16_t crc = crc16(data, sizeof data);
    for (size_t i = 0; i < 8 * sizeof data; i++) {
        data[i / 8] ^= (uint8_t)(1u << (i % 8));
        CHECK(crc16(data, sizeof data) != crc);
        for (size_t k = i + 1; k < i + 40 && k < 8 * sizeof data; k += 3) {
            data[k / 8] ^= (uint8_t)(1u << (k % 8));
            CHECK(crc16(data, sizeof data) != crc);
            data[k / 8] ^= (uint8_t)(1u << (k % 8));
        }
        data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    CHECK(crc16(data, sizeof data) == crc);
}

static void check_slip(void) {
    static const uint8_t plain[] = {1, 0xC0, 0xDB, 2}, wire[] = {0xC0, 1, 0xDB, 0xDC, 0xDB, 0xDD, 2, 0xC0};
    static const uint8_t broken[] = {0xC0, 1, 0xDB, 2, 0xC0, 3, 0xDB, 0xC0, 0xC0};
    uint8_t data[60], encoded[122], buffer[60];
    struct slip_decoder slip = {buffer, sizeof buffer, 0, false, false};
    size_t size;
    CHECK(slip_encode(plain, sizeof plain, encoded) == sizeof wire && memcmp(encoded, wire, sizeof wire) == 0);
    for (size_t i = 0; i < sizeof broken; i++)
        CHECK(!slip_feed(&slip, broken[i], &size));
    for (size_t length = 1; length <= sizeof data; length++) {
        fill(data, length);
        size_t encoded_size = slip_encode(data, length, encoded);
        for (size_t i = 0; i + 1 < encoded_size; i++)
            CHECK(!slip_feed(&slip, encoded[i], &size));
        CHECK(slip_feed(&slip, SLIP_END, &size) && size == length && memcmp(buffer, data, length) == 0);
    }
    slip.capacity = 3;
    for (size_t i = 0; i < sizeof wire; i++)
        CHECK(!slip_feed(&slip, wire[i], &size));
}

static void check_cobs(void) {
    static const uint8_t plain[] = {0x11, 0x22, 0x00, 0x33, 0x00}, wire[] = {3, 0x11, 0x22, 2, 0x33, 1};
    static const uint8_t past_end[] = {4, 1, 2}, zero[] = {3, 0, 1};
    uint8_t data[600], encoded[610], decoded[610];
    size_t size;
    CHECK(cobs_encode(plain, sizeof plain, encoded) == sizeof wire && memcmp(encoded, wire, sizeof wire) == 0);
    CHECK(!cobs_decode(past_end, 3, decoded, &size) && !cobs_decode(zero, 3, decoded, &size));
    CHECK(!cobs_decode(zero, 0, decoded, &size));

    /* Without zeros, a code byte is due every 254 bytes and no earlier. */
    memset(data, 7, sizeof data);
    CHECK(cobs_encode(data, 254, encoded) == 255 && encoded[0] == 0xFF);
    CHECK(cobs_encode(data, 255, encoded) == 257 && encoded[255] == 2);
    for (size_t length = 0; length <= sizeof data; length += length < 20 ? 1 : 29) {
        for (int round = 0; round < 4; round++) {
            if (round > 0)
                fill(data, length);
            size_t encoded_size = cobs_encode(data, length, encoded);
            CHECK(encoded_size <= length + length / 254 + 1 && !memchr(encoded, 0, encoded_size));
            CHECK(cobs_decode(encoded, encoded_size, decoded, &size));
            CHECK(size == length && memcmp(decoded, data, length) == 0);
        }
    }
}

static void check_packets(void) {
    uint8_t data[PACKET_MAX], wire[PACKET_WIRE_MAX], damaged[PACKET_WIRE_MAX];
    size_t size;
    for (size_t length = 0; length <= PACKET_MAX; length += 64) {
        fill(data, length);
        size_t wire_size = packet_encode(data, length, wire);
        CHECK(wire_size <= sizeof wire && wire[wire_size - 1] == 0);
        for (int round = 0; round < 50; round++) {
            memcpy(damaged, wire, wire_size);
            size_t position = random_below((uint32_t)wire_size - 1);
            damaged[position] ^= (uint8_t)(1 + random_below(255));
            CHECK(!packet_decode(damaged, wire_size - 1, &size));
        }
        CHECK(packet_decode(wire, wire_size - 1, &size) && size == length && memcmp(wire, data, length) == 0);
    }
}

#define NUM_SENT 400

/* What was sent, and whether it went through without an error. */
struct journal {
    struct frame sent[NUM_SENT];
    bool intact[NUM_SENT];
    size_t num_sent, num_intact, num_received;
    size_t position; /* behind the last frame received */
    bool sound;
};

static bool same_frame(const struct frame *a, const struct frame *b) {
    return a->type == b->type && a->sequence == b->sequence && a->size == b->size &&
           memcmp(a->payload, b->payload, a->size) == 0;
}

/* Whatever arrives was sent, in this order; and no intact frame is passed over. (A frame may
 * arrive that is not intact: a byte put in front of it does no harm.) */
static void on_frame(void *context, const struct frame *frame) {
    struct journal *journal = context;
    size_t i = journal->position;
    for (; i < journal->num_sent && !same_frame(&journal->sent[i], frame); i++) {
        if (journal->intact[i])
            journal->sound = false;
    }
    if (i == journal->num_sent)
        journal->sound = false;
    journal->position = i + 1;
    journal->num_received++;
}

/* Sends a byte through a channel that flips, drops or inserts once in so many bytes; true when
 * it did none of that. */
static bool transmit(struct receiver *rx, uint8_t byte, uint32_t error_interval) {
    if (error_interval == 0 || random_below(error_interval) > 0) {
        receiver_feed(rx, byte);
        return true;
    }
    switch (random_below(3)) {
    case 0:
        receiver_feed(rx, byte ^ (uint8_t)(1u << random_below(8)));
        break;
    case 1:
        receiver_feed(rx, (uint8_t)random_below(256));
        receiver_feed(rx, byte);
        break;
    default: /* dropped */
        break;
    }
    return false;
}

static void check_channel(uint32_t error_interval) {
    static struct journal journal;
    memset(&journal, 0, sizeof journal);
    journal.sound = true;
    struct receiver rx = {.on_frame = on_frame, .context = &journal};
    for (size_t i = 0; i < NUM_SENT; i++) {
        struct frame *frame = &journal.sent[i];
        uint8_t wire[FRAME_MAX];
        frame->type = (uint8_t)random_below(256);
        frame->sequence = (uint8_t)i;
        frame->size = (uint8_t)random_below(PAYLOAD_MAX + 1);
        fill(frame->payload, frame->size);
        size_t wire_size = frame_encode(frame, wire);
        journal.num_sent = i + 1;
        journal.intact[i] = true;
        for (size_t k = 0; k < wire_size; k++) {
            if (!transmit(&rx, wire[k], error_interval))
                journal.intact[i] = false;
        }
        journal.num_intact += journal.intact[i];
        if (random_below(10) == 0)
            receiver_timeout(&rx);
    }
    receiver_timeout(&rx);
    CHECK(journal.sound && journal.num_received >= journal.num_intact);
    CHECK(rx.num_frames == journal.num_received && rx.raw_size == 0);
    CHECK(error_interval > 0 ? rx.num_bad > 0 && rx.num_skipped > 0 : rx.num_skipped == 0 && rx.num_frames == NUM_SENT);
}

int main(void) {
    static const uint32_t error_intervals[] = {0, 2000, 200, 50, 10};
    crc32_init();
    check_crc();
    check_slip();
    check_cobs();
    check_packets();
    for (size_t i = 0; i < sizeof error_intervals / sizeof error_intervals[0]; i++)
        check_channel(error_intervals[i]);
    if (checks_failed) {
        printf("crc_frames: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("crc_frames: ok (%d checks)\n", checks_run);
    return 0;
}
