"""Which test shows which bug: read from the ids in the tests' docstrings, and for tests that live
elsewhere from the list below.

In tests/integration, `python3 -m museum.index` prints the tables that stand in README.md.
"""

import ast
import pathlib
import re

HERE = pathlib.Path(__file__).parent
ROOMS = (HERE, HERE.parent / "faulty_upstream")
TESTS = HERE.parent.parent
_ID = re.compile(r"\b([ADFILMPRTU])(\d\d)\b(?:-\1?(\d\d)\b)?")

# Bugs that need a harness of another kind: {id: {file below tests: names}}.
ELSEWHERE = {
    "D01": {"proxy/resolver_test.cc": ["AnUnknownNameLeavesNothingAndDoesNotStopTheOthers"]},
    "F17": {"proxy/resolver_test.cc": ["AReloadStartsWithWhatIsKnown"]},
    "F22": {
        "integration/test_reload.py": ["test_many_reloads_under_traffic"],
        "proxy/server_test.cc": ["LogsInWhileItReloadsAndIsScraped"],
    },
    "F23": {"integration/test_reload.py": ["test_a_broken_configuration_changes_nothing"]},
    "F24": {
        "integration/test_reload.py": [
            "test_listeners_and_backends_come_and_go_under_open_sessions"
        ],
    },
    "F28": {"admin/http_server_test.cc": ["SlowReaderDoesNotStopAnotherScrape"]},
    "F29": {
        "integration/test_command_line.py": ["test_check_reads_the_certificates"],
        "tls/context_test.cc": ["BadFilesAreNamedAndExplained", "AFileNobodyMayRead"],
    },
    "F30": {"integration/test_shutdown.py": ["test_drain", "test_the_drain_has_an_end"]},
    "F31": {"integration/test_shutdown.py": ["test_after_a_kill_it_starts_again_at_once"]},
    "F34": {
        "integration/test_health.py": ["test_without_failover_users_are_told_at_once"],
        "sim/health_sim_test.cc": ["UsersOfADeadBackendAreToldAtOnce"],
    },
    "I01": {
        "sim/session_sim_test.cc": ["KeepsItsPromises"],
        "io/io_test.cc": ["ShutdownEndsAPendingReceiveAndThePeerSeesTheEnd"],
    },
    "I02": {"sim/session_sim_test.cc": ["KeepsItsPromises"]},
    "I04": {"io/io_test.cc": ["AcceptIsAStream", "OutOfDescriptorsEndsTheAcceptAndLosesNobody"]},
    "I05": {"io/uring_io_test.cc": ["OverflowingCompletionQueueLosesNothing"]},
    "I06": {"io/starved_test.cc": ["EveryoneIsServedInOrder", "WaitingForABufferDoesNotSpin"]},
    "I09": {
        "integration/test_io.py": [
            "test_serves",
            "test_uring_where_there_is_none_does_not_start",
            "test_this_run_is_on_what_it_says",
        ],
        "io/make_io_test.cc": ["AutoFallsBackToEpollAndSaysWhy"],
    },
    "I10": {"io/io_test.cc": ["BackgroundOperationsComeLastAndGetAShareOfATurn"]},
    "I11": {"io/uring_io_test.cc": ["RestrictionsRefuseWhatWeDoNotUse"]},
    "L10": {
        "integration/test_secrets.py": [
            "test_memory_after_the_login",
            "test_no_password_in_logs_metrics_or_environment",
            "test_no_core_holds_a_password",
        ],
    },
    "P01": {
        "integration/test_neighbours.py": [
            "test_the_header_comes_before_tls",
            "test_a_malformed_header_ends_the_connection",
        ],
    },
    "P02": {
        "integration/test_neighbours.py": [
            "test_strangers_are_turned_away",
            "test_a_health_check_speaks_for_itself",
            "test_a_malformed_header_ends_the_connection",
        ],
    },
    "P03": {"integration/test_neighbours.py": ["test_a_neighbour_that_says_nothing"]},
    "R03": {"integration/test_shutdown.py": ["test_the_drain_has_an_end"]},
    "R05": {"admin/http_server_test.cc": ["StalledWorkerIsNotHealthy"]},
    "T11": {"tls/memory_test.cc": ["NamesAndTicketsLeaveNothingBehind"]},
    "T15": {
        "integration/test_reload.py": [
            "test_a_new_certificate",
            "test_a_broken_configuration_changes_nothing",
            "test_reloads_leave_nothing_behind",
        ],
    },
    "T16": {"integration/scanner/test_scanner.py": ["test_testssl_finds_nothing"]},
    "U16": {
        "integration/test_introductions.py": [
            "test_every_name_a_client_asks_for_by_xclient",
            "test_a_server_that_does_not_trust_us",
        ],
        "integration/test_neighbours.py": ["test_xclient_is_for_the_trusted_only"],
    },
}


def ids_in(text):
    """"M01, U02-U05" is M01, U02, U03, U04 and U05."""
    for letter, first, last in _ID.findall(text):
        for number in range(int(first), int(last or first) + 1):
            yield f"{letter}{number:02}"


def tests():
    """(file, name, docstring) of every test of the rooms."""
    for room in ROOMS:
        for path in sorted(room.glob("test_*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    yield f"{room.name}/{path.name}", node.name, ast.get_docstring(node) or ""


def index():
    """{id: [(file, test), ...]}, sorted."""
    found = {}
    for file, name, docstring in tests():
        for bug in set(ids_in(docstring)):
            found.setdefault(bug, []).append((file, name))
    return dict(sorted(found.items()))


def table(entries):
    """`entries`: {id: {file: names}}."""
    rows = ["| id | tests |", "|---|---|"]
    for bug, files in entries.items():
        cell = "; ".join(
            f"{file}: {', '.join(f'`{name}`' for name in names)}" for file, names in files.items()
        )
        rows.append(f"| {bug} | {cell} |")
    return "\n".join(rows) + "\n"


def tables():
    here = {}
    for bug, shown_by in index().items():
        for file, name in shown_by:
            here.setdefault(bug, {}).setdefault(file, []).append(name)
    return table(here) + "\nElsewhere, below `tests`:\n\n" + table(ELSEWHERE)


if __name__ == "__main__":
    print(tables(), end="")
