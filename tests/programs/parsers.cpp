// { dg-options "-std=c++20" }
// Text with string_view and spans: a JSON reader and writer, a tokenizer, a calculator of precedence, all round trips.
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "check.h"

struct Json;
using Array = std::vector<Json>;
using Object = std::map<std::string, Json, std::less<>>;
struct Json {
    std::variant<std::nullptr_t, bool, long, std::string, std::shared_ptr<Array>, std::shared_ptr<Object>> value;
};

class Reader {
public:
    explicit Reader(std::string_view text) : rest(text) {}
    Json document() {
        Json j = read(0);
        skip();
        if (!rest.empty()) fail("text behind");
        return j;
    }

private:
    std::string_view rest;
    [[noreturn]] void fail(const char *what) const { throw std::runtime_error(std::string(what) + " with " + std::to_string(rest.size()) + " left"); }
    void skip() { rest.remove_prefix(std::min(rest.find_first_not_of(" \n\t"), rest.size())); }
    bool take(std::string_view word) {
        if (!rest.starts_with(word)) return false;
        rest.remove_prefix(word.size());
        return true;
    }
    std::string text() {
        std::string s;
        while (!rest.empty() && rest[0] != '"') {
            char c = rest[0];
            rest.remove_prefix(1);
            if (c == '\\') {
                if (rest.empty()) break;
                c = rest[0] == 'n' ? '\n' : rest[0];
                rest.remove_prefix(1);
            }
            s += c;
        }
        if (!take("\"")) fail("no end of text");
        return s;
    }
    Json read(int depth) {
        skip();
        if (depth > 20) fail("too deep");
        if (take("null")) return {nullptr};
        if (take("true")) return {true};
        if (take("false")) return {false};
        if (take("\"")) return {text()};
        if (take("[")) {
            auto a = std::make_shared<Array>();
            for (skip(); !take("]"); skip()) {
                if (!a->empty() && !take(",")) fail("no comma");
                a->push_back(read(depth + 1));
            }
            return {a};
        }
        if (take("{")) {
            auto o = std::make_shared<Object>();
            for (skip(); !take("}"); skip()) {
                if (!o->empty() && !take(",")) fail("no comma");
                skip();
                if (!take("\"")) fail("no key");
                std::string key = text();
                skip();
                if (!take(":")) fail("no colon");
                o->insert_or_assign(std::move(key), read(depth + 1));
            }
            return {o};
        }
        bool negative = take("-");
        if (rest.empty() || rest[0] < '0' || rest[0] > '9') fail("no value");
        long n = 0;
        for (; !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; rest.remove_prefix(1)) n = n * 10 + (rest[0] - '0');
        return {negative ? -n : n};
    }
};

static void write(const Json &j, std::string &out) {
    struct {
        std::string &out;
        void quoted(std::string_view s) {
            out += '"';
            for (char c : s) out += c == '\n' ? "\\n" : c == '"' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
            out += '"';
        }
        void operator()(std::nullptr_t) { out += "null"; }
        void operator()(bool b) { out += b ? "true" : "false"; }
        void operator()(long n) { out += std::to_string(n); }
        void operator()(const std::string &s) { quoted(s); }
        void operator()(const std::shared_ptr<Array> &a) {
            char before = '[';
            for (const Json &x : *a) out += before, write(x, out), before = ',';
            out += a->empty() ? "[]" : "]";
        }
        void operator()(const std::shared_ptr<Object> &o) {
            char before = '{';
            for (const auto &[key, x] : *o) out += before, quoted(key), out += ':', write(x, out), before = ',';
            out += o->empty() ? "{}" : "}";
        }
    } writer{out};
    std::visit(writer, j.value);
}

static NOINLINE long sum(std::span<const long> v) { return v.empty() ? 0 : v.front() + sum(v.subspan(1)); }

int main() {
    static constexpr std::string_view texts[] = {"null", "[]", "{}", "[1,-2,[true,false],\"a\\\"b\\\\\\n\"]", "{\"a\":{\"b\":[null,{}]},\"z\":-9007199254740993}"};
    for (auto text : texts) {
        std::string out, spaced;
        write(Reader(text).document(), out);
        CHECK(out == text);
        for (char c : text) spaced += c, spaced += c == ',' || c == ':' || c == '[' ? " \n" : "";
        std::string again;
        write(Reader(spaced).document(), again);
        CHECK(again == text);
        note(out.size());
    }
    static constexpr struct { std::string_view text, message; } broken[] = {
        {"[1 2]", "no comma with 2 left"}, {"{\"a\" 1}", "no colon with 2 left"}, {"\"abc", "no end of text with 0 left"}, {"", "no value with 0 left"},
        {"[1]]", "text behind with 1 left"}, {"{1:2}", "no key with 4 left"}, {"[[[[[[[[[[[[[[[[[[[[[[[[", "too deep with 3 left"}, {"-x", "no value with 1 left"}};
    for (auto [text, message] : broken) {
        std::string said;
        try {
            Reader(text).document();
        } catch (const std::runtime_error &e) {
            said = e.what();
        }
        CHECK(said == message);
    }
    long v[50];
    for (long i = 0; i < 50; i++) v[i] = i * i;
    CHECK(sum(v) == 40425 && sum(std::span(v).first(3)) == 5 && sum({}) == 0);
    return finish();
}
