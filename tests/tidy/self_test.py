#!/usr/bin/env python3
"""Feeds the tidy rules what they must refuse, and what they must let pass."""

import sys
import unittest

sys.dont_write_bytecode = True

import tidy_test  # noqa: E402


def rules(path, text, others=None):
    """The rules `text` breaks as file `path`, as 'line: rule'."""
    tree = dict(others or {})
    tree[path] = text
    return [f"{line}: {rule}" for file, line, rule in tidy_test.check_tree(tree) if file == path]


def coroutine(body):
    return "Task<void> F() {\n  " + body + "\n}\n"


class Awaits(unittest.TestCase):
    ALLOWED = [
        "const int v = co_await F(a, b);",
        "v = co_await F();",
        "co_await wake.Wait();",
        "co_return co_await F(std::move(a));",
        "if (absl::Status s = co_await F(a); !s.ok() && a) co_return s;",
        "const auto [a, b] = co_await F();",
        "CO_RETURN_IF_ERROR(co_await F(a));",
        "CO_ASSIGN_OR_RETURN(const int a, co_await F(b));",
        "while (true) {\n    const int v = co_await F();\n    if (v > 0 && v < 3) break;\n  }",
        "const int a = co_await F(b ? 1 : 2);",
        "switch (a) {\n    case 1: {\n      co_await F();\n    }\n  }",
        "do {\n    co_await F();\n  } while (a && b);",
        "if (a) {\n    co_await F();\n  } else {\n    co_await G();\n  }",
        "// if (co_await F()) in a comment\n  Log(\"while (co_await F())\");",
        "Sort([](int a) { return a; });\n  co_await F();",
        "Sort([&x](int a) { return a + x; });\n  co_await F();",
        "co_await std::move(task);",
    ]
    FORBIDDEN = {
        "if (co_await F()) return;": "condition",
        "if (a) {\n    if (!co_await F()) return;\n  }": "condition",
        "if (int v = G(); co_await F(v)) return;": "condition",
        "while (co_await F()) {\n  }": "condition",
        "for (int i = 0; i < co_await F(); ++i) {\n  }": "condition",
        "for (auto& v : co_await F()) {\n  }": "condition",
        "do {\n  } while (co_await F());": "condition",
        "switch (co_await F()) {\n  }": "condition",
        "const int v = a ? co_await F() : 0;": "next to ?",
        "const bool v = a && co_await F();": "next to ?",
        "const bool v = co_await F() || b;": "next to ?",
        "const int v = co_await F() ? 1 : 2;": "next to ?",
        "G(co_await F());": "argument list",
        "const int v = G(1, co_await F());": "argument list",
        "auto f = [] { co_await F(); };": "lambda",
        "auto f = [&a](int b) -> Task<void> { co_await F(b); };": "lambda",
        "auto f = [=]() mutable {\n    if (a) {\n      co_await F();\n    }\n  };": "lambda",
        "Agg a{co_await F()};": "initialiser list",
        "const std::vector<int> v = {co_await F(), 1};": "initialiser list",
        "co_await F([a] { return a; });": "lambda with captures",
        "const int v = co_await F([&](int b) { return b; });": "lambda with captures",
    }

    def test_allowed(self):
        for body in self.ALLOWED:
            with self.subTest(body):
                self.assertEqual(rules("proxy/session.cc", coroutine(body)), [])

    def test_forbidden(self):
        for body, rule in self.FORBIDDEN.items():
            with self.subTest(body):
                found = rules("proxy/session.cc", coroutine(body))
                self.assertEqual(len(found), 1, found)
                self.assertIn(rule, found[0])

    def test_line(self):
        found = rules("proxy/session.cc", coroutine("int a = 0;\n\n  if (co_await F()) a = 1;"))
        self.assertTrue(found[0].startswith("4: "), found)


class Layers(unittest.TestCase):
    ALLOWED = [
        ("proxy/io/uring_io.cc", "<liburing.h>"),
        ("proxy/io/uring_io.cc", '"proxy/base/check.h"'),
        ("proxy/io/uring_io.cc", '"absl/strings/string_view.h"'),
        ("proxy/config/parse.cc", '"routing/options.h"'),
        ("proxy/config/parse.cc", '"tls/options.h"'),
        ("proxy/session.cc", '"tls/engine.h"'),
        ("proxy/main.cc", '"proxy/admin/command_line.h"'),
        ("proxy/admin/http.cc", "<httplib.h>"),
        ("tls/engine.cc", "<openssl/ssl.h>"),
        ("metrics/exposition.cc", "<prometheus/text_serializer.h>"),
        ("tests/tls/engine_pair.cc", "<openssl/ssl.h>"),
        ("tests/tls/engine_pair.cc", '"proxy/session.h"'),
        ("bench/load/main.cc", '"proxy/io/uring_io.h"'),
    ]
    FORBIDDEN = [
        ("proxy/io/uring_io.h", "<liburing.h>"),
        ("proxy/worker.cc", "<liburing.h>"),
        ("proxy/worker.cc", "<openssl/ssl.h>"),
        ("proxy/io/uring_io.cc", "<openssl/ssl.h>"),
        ("proxy/worker.cc", "<prometheus/registry.h>"),
        ("proxy/worker.cc", "<httplib.h>"),
        ("proxy/io/io.h", '"proxy/coro/task.h"'),
        ("proxy/io/io.h", '"proxy/session.h"'),
        ("proxy/base/check.h", '"proxy/io/io.h"'),
        ("proxy/pop3/reply.h", '"tls/engine.h"'),
        ("proxy/config/config.h", '"proxy/io/io.h"'),
        ("tls/engine.h", '"routing/options.h"'),
        ("tls/engine.h", '"proxy/config/config.h"'),
        ("routing/router.cc", '"metrics/worker_stats.h"'),
        ("metrics/counters.h", '"proxy/session.h"'),
        ("tls/engine.cc", '"engine.h"'),
    ]

    @staticmethod
    def found(path, name):
        return [rule for rule in rules(path, f"#include {name}\n") if "guard" not in rule]

    def test_allowed(self):
        for path, name in self.ALLOWED:
            with self.subTest(f"{path} {name}"):
                self.assertEqual(self.found(path, name), [])

    def test_forbidden(self):
        for path, name in self.FORBIDDEN:
            with self.subTest(f"{path} {name}"):
                self.assertEqual(len(self.found(path, name)), 1)

    def test_comments_include_nothing(self):
        self.assertEqual(rules("tls/a.cc", '/*\n#include "proxy/session.h"\n*/\n'), [])


class Text(unittest.TestCase):
    def test_lines(self):
        for text, rule in {
            "int\ta;\n": "tab",
            "int a; \n": "trailing whitespace",
            "int a;": "no newline",
            "// TO" "DO(x): later\n": "unfinished",
            "// FIX" "ME\n": "unfinished",
            "int a;  //" + " x" * 60 + "\n": "columns",
            "int a;\n" * 601: "lines",
            "std::string_view a;\n": "absl::string_view",
            "#include <string_view>\n": "absl::string_view",
            "absl::optional<int> a;\n": "std::optional",
        }.items():
            with self.subTest(text[:40]):
                found = rules("proxy/a.cc", text)
                self.assertEqual(len(found), 1, found)
                self.assertIn(rule, found[0])

    def test_fine(self):
        for text in (
            "int a;\n" * 600,
            "// tidy: long file, because it is a table.\n" + "int a;\n" * 700,
            "// https://example.org/" + "x" * 120 + "\n",
            'Log("std::string_view");  // std::string_view\n',
            'const char* a = "' + "x" * 120 + '";\n',
            'const char* a = R"(' + "x\n" * 3 + "y" * 120 + ')";\n',
            "const char quote = '\"';\nint a = 1'000'000;\nabsl::string_view b;\n",
        ):
            with self.subTest(text[:40]):
                self.assertEqual(rules("proxy/a.cc", text), [])

    def test_guard(self):
        good = ("#ifndef POSTERN_PROXY_IO_IO_H_\n#define POSTERN_PROXY_IO_IO_H_\n"
                "#endif  // POSTERN_PROXY_IO_IO_H_\n")
        self.assertEqual(rules("proxy/io/io.h", good), [])
        self.assertEqual(len(rules("proxy/io/other.h", good)), 3)
        self.assertEqual(len(rules("proxy/io/io.h", "#pragma once\n")), 3)


class Tree(unittest.TestCase):
    def test_every_test_is_built(self):
        listed = {"tests/CMakeLists.txt": "postern_test(io postern_io)\n"
                                          "foreach(part proxy sim)\nendforeach()\n"}
        self.assertEqual(rules("tests/io/a_test.cc", "", listed), [])
        self.assertEqual(len(rules("tests/new/a_test.cc", "", listed)), 1)
        own = dict(listed, **{"tests/sim/CMakeLists.txt": "add_executable(t a_test.cc)\n"})
        self.assertEqual(rules("tests/sim/a_test.cc", "", own), [])
        self.assertEqual(len(rules("tests/sim/b_test.cc", "", own)), 1)
        unlisted = dict(listed, **{"tests/new/CMakeLists.txt": "add_executable(t a_test.cc)\n"})
        self.assertEqual(len(rules("tests/new/a_test.cc", "", unlisted)), 1)

    def test_documents_name_what_exists(self):
        tree = {"proxy/io/io.h": None, "proxy/io/uring_io.cc": None, "tests/run.sh": None}
        text = ("See `proxy/io/io.h`, proxy/io/uring_io, proxy/io/ and tests/run.sh.\n"
                "Not ours: /usr/tests/run, build/release/bin/x, https://example.org/tests/a.\n")
        self.assertEqual(rules("README.md", text, tree), [])
        found = rules("README.md", "fine\n`proxy/io/{io,gone}.h` and tests/none.sh\n", tree)
        self.assertEqual(found, ["2: proxy/io/gone.h does not exist",
                                 "2: tests/none.sh does not exist"])
        self.assertEqual(rules("bench/NOTES.md", "proxy/none.h\n", tree), [])


if __name__ == "__main__":
    unittest.main()
