#!/usr/bin/env python3
"""The comparison's pure parts: statistics, goals, checks of a run, plots, the page, the README."""

import contextlib
import io
import os
import pathlib
import sys
import tempfile
import types
import unittest
import unittest.mock
import xml.dom.minidom

sys.dont_write_bytecode = True

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "compare"))

import accounting  # noqa: E402
import checks  # noqa: E402
import crypto_floor  # noqa: E402
import figures  # noqa: E402
import goals  # noqa: E402
import html_report  # noqa: E402
import markdown  # noqa: E402
import prepare  # noqa: E402
import progress  # noqa: E402
import readme_block  # noqa: E402
import rounds  # noqa: E402
import run  # noqa: E402
import scenarios  # noqa: E402
import svg  # noqa: E402
from peers.haproxy import HaProxy  # noqa: E402


def row(costs, title="Postern", peer="postern", variant=False, void=()):
    """A row whose rounds cost this; the rounds in `void` do not count."""
    rounds = [{"cpu_us": cost, "per_second": 1000.0, "sessions": 100, "proxy_busy": 0.9,
               "void": ["the store <lost> one"] if number in void else []}
              for number, cost in enumerate(costs)]
    return {"title": title, "peer": peer, "variant": variant, "rounds": rounds}


def scenario(rows, found=("cpu_us", "per_second"), group="b"):
    return {"title": "Full login", "about": "What & how.", "note": "", "figures": list(found),
            "group": group, "rate": 250, "rows": rows}


def sample_report():
    rows = {
        "postern": row([400, 420, 500]),
        "haproxy": row([800, 700, 900], "HAProxy", "haproxy", void=(2,)),
        "nginx": row([700, 690, 710], "nginx", "nginx"),
        "nginx-no-tickets": row([100, 100, 100], "nginx, TLS tickets off", "nginx", True),
    }
    latency = {"session": {"p50": 1.5, "p90": 2.5, "p99": 9.0, "p99.9": 20.0, "max": 31.0}}
    slow = scenario({"postern": row([500]), "nginx": row([700], "nginx", "nginx")}, ("p99_ms",),
                    "l")
    for one in slow["rows"].values():
        one["rounds"][0].update(latency_ms=latency, p99_ms=9.0)
    report = {
        "format": 1,
        "conditions": {
            "date": "2026-01-02T03:04:05+00:00", "cpu": "A <fast> CPU", "cpus": 2,
            "kernel": "6.1.0-1", "openssl": "OpenSSL 3.0.1 1 Jan 2026", "left_out": ["x & y"],
            "versions": {"postern": "Postern 1", "haproxy": "HAProxy 2", "nginx": "nginx 3"},
            "load_average": [0.1, 0, 0], "load_average_after": [1.5, 0, 0], "rounds": 3,
            "quick": False, "seconds_per_run": 3.0, "proxy_core": 0, "other_core": 1,
            "descriptors_max": 20000, "command": "bench/compare/run.py --only 'a&b'"},
        "floor": {"ecdsa_p256_sign_us": 20.0, "x25519_derive_us": 35.0, "x25519_keygen_us": 45.0,
                  "sum_us": 100.0},
        "scenarios": {"b": scenario(rows), "l-250": slow},
    }
    report["goals"] = goals.evaluate_all(report)
    return report


def haproxy_configuration(setup):
    """The file HAProxy gets; nothing is started."""
    peer = HaProxy.__new__(HaProxy)
    peer.setup, peer.tls, peer.plain = setup, 1001, 1002
    peer.certificate = pathlib.Path("/x/ecdsa.pem")
    peer.stores = types.SimpleNamespace(ports={"even": 1003, "odd": 1004})
    peer.lab = types.SimpleNamespace(descriptors_max=20000)
    return peer.configuration()


class FiguresTest(unittest.TestCase):
    def test_spread_is_of_what_is_there(self):
        self.assertEqual(figures.spread([3, None, 1, 2]),
                         {"median": 2, "min": 1, "max": 3, "count": 3})
        self.assertIsNone(figures.spread([None]))

    def test_void_rounds_do_not_count(self):
        one = row([1, 2, 3], void=(1,))
        self.assertEqual(figures.values(one, "cpu_us"), [1, None, 3])
        self.assertEqual(figures.void_rounds(scenario({"postern": one})),
                         [("postern", 2, "the store <lost> one")])

    def test_ratio_is_taken_within_rounds(self):
        # The ratio of the medians would be 2 / 20.
        found = figures.ratio(row([1, 2, 300]), row([10, 40, 30]), "cpu_us")
        self.assertEqual(found, {"median": 0.1, "min": 0.05, "max": 10, "count": 3})

    def test_ratio_leaves_void_rounds_out(self):
        found = figures.ratio(row([1, 2]), row([4, 4], void=(0,)), "cpu_us")
        self.assertEqual((found["count"], found["median"]), (1, 0.5))
        self.assertIsNone(figures.ratio(row([1], void=(0,)), row([1]), "cpu_us"))

    def test_best_peer_is_no_variant_and_not_postern(self):
        rows = sample_report()["scenarios"]["b"]
        self.assertEqual(figures.best_peer(rows, "cpu_us", False), "nginx")
        self.assertEqual(figures.best_peer(rows, "cpu_us", True), "haproxy")
        self.assertIsNone(figures.best_peer(scenario({"postern": row([1])}), "cpu_us", False))

    def test_numbers_for_people(self):
        self.assertEqual([figures.number(value) for value in (0, 0.1234, 4.2, 47.61, 648.4, 12345)],
                         ["0", "0.123", "4.20", "47.6", "648", "12,345"])
        self.assertEqual(figures.with_spread(figures.spread([1, 2, 4])), "2.00 (1.00-4.00)")


class GoalsTest(unittest.TestCase):
    def found(self, report, against, scenario_key="b"):
        return next(goal for goal in report["goals"]
                    if goal["against"].startswith(against) and goal["scenario"] == scenario_key)

    def test_ratio_to_a_peer(self):
        goal = self.found(sample_report(), "nginx")
        self.assertAlmostEqual(goal["measured"]["median"], 420 / 690)
        self.assertIs(goal["reached"], False)

    def test_void_rounds_of_the_peer_are_left_out(self):
        goal = self.found(sample_report(), "haproxy")
        self.assertEqual(goal["measured"]["count"], 2)
        self.assertAlmostEqual(goal["measured"]["median"], 0.55)
        self.assertIs(goal["reached"], True)

    def test_multiple_of_the_floor(self):
        goal = self.found(sample_report(), "floor")
        self.assertEqual(goal["measured"]["median"], 4.2)
        self.assertIs(goal["reached"], True)

    def test_what_is_not_measured_is_not_reached(self):
        goal = self.found(sample_report(), "dovecot")
        self.assertIsNone(goal["measured"])
        self.assertIsNone(goal["reached"])

    def test_more_is_better(self):
        rows = {"postern": row([1]), "nginx": row([1], "nginx", "nginx"),
                "haproxy": row([1], "HAProxy", "haproxy")}
        for name, speed in (("postern", 300), ("nginx", 100), ("haproxy", 140)):
            rows[name]["rounds"][0]["mb_per_cpu_s"] = speed
        report = {"scenarios": {"g": scenario(rows)}}
        goal = next(goals.evaluate(goal, report) for goal in goals.GOALS if goal.scenario == "g")
        self.assertEqual(goal["against"], "best peer's (haproxy)")
        self.assertAlmostEqual(goal["measured"]["median"], 300 / 140)
        self.assertIs(goal["reached"], True)

    def test_growth_is_from_the_first_row_to_the_last(self):
        rows = {str(n): row([cost, cost], variant=True)
                for n, cost in ((1000, 400), (5000, 900), (9000, 500))}
        report = {"scenarios": {"s": scenario(rows)}}
        goal = next(goals.evaluate(goal, report) for goal in goals.GOALS if goal.scenario == "s")
        self.assertAlmostEqual(goal["measured"]["median"], 25)
        self.assertIs(goal["reached"], False)

    def test_goals_name_scenarios_and_figures_that_exist(self):
        for goal in goals.GOALS:
            self.assertIn(goal.scenario, scenarios.BY_KEY)
            if goal.figure != "growth_percent":
                self.assertIn(goal.figure, markdown.FIGURES)


class ChecksTest(unittest.TestCase):
    def setUp(self):
        self.expected = {"sessions": 200, "others": 40, "checks_max": 0, "tls": scenarios.TLS13, "resumed": False,
                         "messages": 2, "message_bytes_min": 1000, "wrong_percent": 0}
        self.result = {"sessions": 200, "failed": 0, "failures": {}, "logins": 200,
                       "refused_as_expected": 0, "tls_handshakes": 200, "tls_resumed": 0,
                       "tls_kinds": {scenarios.TLS13 + " x25519": 200}, "messages": 400,
                       "messages_verified": 400, "message_bytes": 410000}
        self.served = {"even": 130, "odd": 110}

    def problems(self):
        return checks.problems(self.result, self.served, self.expected)

    def assert_void(self, words):
        found = self.problems()
        self.assertTrue(any(words in problem for problem in found), found)

    def test_a_good_run(self):
        self.assertEqual(self.problems(), [])

    def test_a_session_that_went_past_the_stores(self):
        self.served["even"] -= 1
        self.assert_void("the stores served 239 sessions")

    def test_checks_of_the_proxy_itself(self):
        self.served["even"] += 3
        self.assert_void("the stores served 243 sessions")
        self.expected["checks_max"] = 3
        self.assertEqual(self.problems(), [])
        self.served["even"] += 1
        self.assert_void("the stores served 244 sessions")
        self.served["even"] -= 5
        self.assert_void("the stores served 239 sessions")

    def test_users_that_are_not_routed(self):
        self.served = {"even": 240, "odd": 0}
        self.assert_void("not routed")

    def test_a_failed_session(self):
        self.result.update(failed=1, failures={"reset": {"count": 1, "example": "gone"}})
        self.assert_void("1 sessions failed (reset: gone)")

    def test_a_message_that_nobody_verified(self):
        self.result["messages_verified"] -= 1
        self.assert_void("399 messages were verified, 400 expected")

    def test_another_cipher(self):
        self.result["tls_kinds"] = {"TLSv1.3 TLS_AES_256_GCM_SHA384 x25519": 200}
        self.assert_void("200 sessions spoke TLSv1.3 TLS_AES_256_GCM_SHA384")

    def test_resumption_that_was_not_asked_for_or_did_not_happen(self):
        self.result["tls_resumed"] = 200
        self.assert_void("200 sessions were resumed")
        self.expected["resumed"] = True
        self.assertEqual(self.problems(), [])
        self.result["tls_resumed"] = 100
        self.assert_void("only 100 of 200")

    def test_tls_where_none_should_be(self):
        self.expected["tls"] = ""
        self.assert_void("TLS was spoken")

    def test_refusals(self):
        self.expected["wrong_percent"] = 30
        self.assert_void("0 of 200 logins were refused, not 30 %")
        self.result.update(logins=139, refused_as_expected=61)
        self.assertEqual(self.problems(), [])
        self.result["logins"] = 138
        self.assert_void("138 logins and 61 refusals of 200")


class MachineTest(unittest.TestCase):
    def test_children_that_ended(self):
        stat = "12 (a (b) c) S 1 12 12 0 -1 4194560 1 2 3 4 50 60 7 8 20 0 1 0 100"
        self.assertEqual(accounting.ended_children_ns(stat), 15 * accounting.TICK_NS)

    def test_own_cpu_grows(self):
        before = accounting.cpu_ns(os.getpid())
        sum(range(2_000_000))
        self.assertGreater(accounting.cpu_ns(os.getpid()), before)

    def test_own_memory(self):
        found = accounting.memory_kb(os.getpid())
        self.assertGreater(found["rss"], 1000)
        self.assertLessEqual(found["pss"], found["rss"])

    def test_openssl_speed_in_both_of_its_forms(self):
        rates = crypto_floor.parse_speed("+F4:3:256:50000.0:14618.5\n+F5:22:253:22170.1:0.000045\n")
        seconds = crypto_floor.parse_speed("+F4:3:256:0.00002:0.00007\n+F5:22:253:22170:0.000045\n")
        for found in (rates, seconds):
            self.assertAlmostEqual(found["ecdsa_p256_sign_us"], 20)
            self.assertAlmostEqual(found["x25519_derive_us"], 45)

    def test_the_estimate_learns(self):
        now = [0.0]
        with open(os.devnull, "w", encoding="utf-8") as out:
            shown = progress.Progress(out, lambda: now[0])
            shown.plan("b", 10, 4.0)
            self.assertEqual(shown.seconds_left(), 40)
            for _ in range(5):  # each takes twice as long as it was thought to
                now[0] += 8
                shown.step(scenarios.BY_KEY["b"], type("Row", (), {"title": "x"}), 0, 1,
                           {"cpu_us": 1.0, "per_second": 1.0})
        self.assertAlmostEqual(shown.seconds_left(), 40)


class ScenariosTest(unittest.TestCase):
    def test_by_key_and_by_group(self):
        self.assertEqual([one.key for one in scenarios.chosen(["a", "b"])], ["b", "a"])
        self.assertEqual([one.key for one in scenarios.chosen(["l"])], ["l-100", "l-250", "l-500"])
        with self.assertRaises(KeyError):
            scenarios.chosen(["nothing"])

    def test_an_expert_sets_haproxy_up_for_bulk(self):
        """Its own row is the expert's, a variant the usual one; elsewhere nothing is special."""
        texts = {}
        for key in ("a", "f", "g"):
            for one in rounds.rows_of(scenarios.BY_KEY[key], ["postern", "haproxy"]):
                if one.peer == "haproxy":
                    texts[key, one.name] = haproxy_configuration(one.setup)
        self.assertEqual(sorted(texts), [("a", "haproxy"), ("f", "haproxy"), ("f", "haproxy-usual"),
                                         ("g", "haproxy"), ("g", "haproxy-usual")])
        for row_key, text in texts.items():
            expert = row_key[1] == "haproxy" and row_key[0] != "a"
            self.assertEqual("tune.bufsize 65536" in text, expert, row_key)
            self.assertEqual("option splice-response" in text and "tune.pipesize 1048576" in text,
                             row_key == ("g", "haproxy"), row_key)

    def test_a_99th_percentile_is_of_a_thousand(self):
        for one in scenarios.ALL:
            if one.rate and any("p99" in figure for figure in one.figures):
                self.assertGreaterEqual(int(one.rate * run.RUN_SECONDS * one.longer), 1000, one.key)

    def test_every_figure_has_a_name(self):
        for one in scenarios.ALL:
            for figure in one.figures:
                self.assertIn(figure, markdown.FIGURES)


class PrepareTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="postern-prepare-test-")
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.bin = self.root / "build/release/bin"
        self.bin.mkdir(parents=True)
        self.commands = []
        for name, value in (("ROOT", self.root), ("DEFAULT_BIN", self.bin)):
            patch = unittest.mock.patch.object(prepare, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def build(self, bin_dir, install):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            prepare.build(bin_dir, install, lambda command, **more: self.commands.append(command))
        return said.getvalue()

    def test_a_bare_tree_is_built(self):
        said = self.build(self.bin, True)
        self.assertIn("postern, postern-load, postern-maildrop must be built first", said)
        self.assertEqual(self.commands[0], [self.root / "deploy/install-deps.sh", "build"])
        self.assertEqual(self.commands[1][:4], ["cmake", "--preset", "release", "-DPOSTERN_TESTS=OFF"])
        self.assertEqual(self.commands[2][-4:], ["--target", "postern", "postern-load",
                                                 "postern-maildrop"])

    def test_a_configured_tree_keeps_its_options_and_what_is_built_is_taken(self):
        (self.root / "build/release/build.ninja").touch()
        self.build(self.bin, False)
        self.assertEqual([command[:2] for command in self.commands], [["cmake", "--build"]])
        for name in prepare.PROGRAMS:
            (self.bin / name).touch(mode=0o755)
        self.commands.clear()
        self.assertEqual(self.build(self.bin, True), "")
        self.assertEqual(self.commands, [])

    def test_another_directory_is_not_ours_to_build_in(self):
        with self.assertRaisesRegex(prepare.PrepareError, "/nowhere has no postern and no postern-l"):
            self.build("/nowhere", True)
        self.assertEqual(self.commands, [])

    def test_a_step_that_fails_is_told(self):
        with open(os.devnull, "w", encoding="utf-8") as out, contextlib.redirect_stderr(out):
            with self.assertRaisesRegex(prepare.PrepareError, "false failed: .*status 1"):
                prepare.need(["false"])
            with self.assertRaisesRegex(prepare.PrepareError, "no-such-program failed"):
                prepare.need(["no-such-program"])

    def test_paths_are_tried_and_left_alone(self):
        old, new = self.root / "old", self.root / "new"
        old.write_text("results")
        prepare.check_writable(old)
        prepare.check_writable(new)
        self.assertEqual(old.read_text(), "results")
        self.assertFalse(new.exists())
        with self.assertRaises(OSError):
            prepare.check_writable(self.root)
        with self.assertRaises(OSError):
            prepare.check_writable(self.root / "no" / "where")


class InterruptedTest(unittest.TestCase):
    def test_what_was_finished_is_a_report(self):
        """A scenario without a round goes; one whose rows have different numbers of rounds stays."""
        report = sample_report()
        report["scenarios"]["a"] = scenario({"postern": row([]), "nginx": row([], "nginx", "nginx")})
        report["scenarios"]["b"]["rows"]["nginx"]["rounds"].pop()
        report["scenarios"]["b"]["rows"]["nginx-no-tickets"]["rounds"].clear()
        self.assertTrue(run.finished(report))
        self.assertEqual(list(report["scenarios"]), ["b", "l-250"])
        report["conditions"]["interrupted"] = True
        report["goals"] = goals.evaluate_all(report)
        self.assertIn("INTERRUPTED", markdown.markdown(report))
        self.assertIn("Interrupted", html_report.page(report))
        self.assertFalse(run.finished({"scenarios": {"a": scenario({"postern": row([])})}}))
        self.assertFalse(run.finished({}))

    def test_a_file_that_has_become_unwritable_costs_no_result(self):
        options = types.SimpleNamespace(json="/nowhere/r.json", html=None, readme=False)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            problems = run.write(options, sample_report())
        self.assertEqual(len(problems), 1)
        self.assertIn("/nowhere/r.json", problems[0])
        self.assertIn("## Goals", said.getvalue())


class PageTest(unittest.TestCase):
    def test_plots_are_well_formed(self):
        spread = figures.spread([1.0, 2.0, 3.0])
        for plot in (svg.bars([("a < b & c", spread, 0, False), ("void", None, 1, True)], "us", "t"),
                     svg.bars([("void", None, 1, True)], "us", "all void"),
                     svg.lines([("a&b", [1, 20, None], 0), ("c", [2, 300, 4000], 1)],
                               ["p50", "p99", "max"], "ms", "t")):
            self.assertEqual(xml.dom.minidom.parseString(plot).documentElement.tagName, "svg")
        self.assertEqual(svg.lines([("a", [None], 0)], ["p50"], "ms", "t"), "")

    def test_a_bar_is_as_long_as_its_number(self):
        plot = svg.bars([("one", figures.spread([10]), 0, False),
                         ("four", figures.spread([40]), 1, False)], "us", "t")
        one, four = [float(rect.getAttribute("width")) for rect in
                     xml.dom.minidom.parseString(plot).getElementsByTagName("rect")]
        self.assertAlmostEqual(four / one, 4, places=2)

    def test_ticks(self):
        self.assertEqual([svg.nice_step(most) for most in (1, 9, 1153, 30000)],
                         [0.2, 2, 500, 10000])

    def test_the_page_is_whole_and_needs_nothing(self):
        page = html_report.page(sample_report())
        document = xml.dom.minidom.parseString(page[page.index("<html"):])
        self.assertEqual(len(document.getElementsByTagName("svg")), 3)
        for word in ("http:", "https:", "<script", "@import", "url("):
            self.assertNotIn(word, page)
        there = {one.getAttribute("id") for tag in ("h2",)
                 for one in document.getElementsByTagName(tag)}
        for link in document.getElementsByTagName("a"):
            self.assertIn(link.getAttribute("href").removeprefix("#"), there)
        self.assertIn("the store &lt;lost&gt; one", page)
        self.assertNotIn("<lost>", page)

    def test_tables_for_the_terminal(self):
        text = markdown.markdown(sample_report())
        self.assertIn("| HAProxy | 750 (700-800) | 1,000 (1,000-1,000) | 0.550 (0.500-0.600) | 1 |",
                      text)
        self.assertIn("VOID: haproxy, round 3: the store <lost> one", text)
        self.assertIn("| CPU of a full TLS 1.3 login (b) | at most 0.58 of HAProxy's | "
                      "0.550 (0.500-0.600) | reached |", text)


class ReadmeTest(unittest.TestCase):
    def test_what_is_written_can_be_read(self):
        text = "before\n" + readme_block.block(sample_report()) + "\nafter\n"
        self.assertEqual(
            readme_block.parse(text)["full TLS 1.3 login, ECDSA: CPU us"],
            ["420 (400-500)", "750 (0.55)", "700 (0.61)", "-", "-"])

    def test_a_line_with_another_number_of_rounds_says_so(self):
        report = sample_report()
        self.assertIn("| full TLS 1.3 login, ECDSA: CPU us (less is better) | 420",
                      readme_block.block(report))
        report["conditions"]["rounds"] = 5
        text = readme_block.block(report)
        self.assertIn("CPU us (less is better, 3 rounds) | 420", text)
        self.assertIn("Median of 5 interleaved rounds unless a line has another number.", text)
        self.assertIn("TLS login at 250 a second: p99 ms (less is better, 1 round)", text)
        self.assertIn("full TLS 1.3 login, ECDSA: CPU us", readme_block.parse(text))
        self.assertIn("b had 3, l-250 had 1", html_report.page(report))
        self.assertIn("medians of 3 rounds", html_report.page(report))
        self.assertIn("This scenario had 3 rounds.", markdown.markdown(report))

    def test_rewriting_touches_the_block_only(self):
        text = f"before\n{readme_block.BEGIN}\nold\n{readme_block.END}\nafter\n"
        begin, end = readme_block.find(text)
        self.assertEqual((text[:begin], text[end:]), ("before\n", "\nafter\n"))

    def test_what_another_wrote_is_refused(self):
        good = readme_block.block(sample_report())
        for bad in ("no marks", good + good, good.replace("420 (400-500)", "fast"),
                    good.replace("Dovecot | Perdition |\n", "Dovecot |\n"),
                    good.replace("plain login", "x").replace("full TLS 1.3 login", "y")):
            with self.assertRaises(readme_block.BlockError):
                readme_block.parse(bad)

    def test_the_readme_has_such_a_block(self):
        rows = readme_block.parse((ROOT / "README.md").read_text(encoding="utf-8"))
        self.assertIn("full TLS 1.3 login, ECDSA: CPU us", rows)


if __name__ == "__main__":
    unittest.main(verbosity=2)
