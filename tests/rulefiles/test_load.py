from __future__ import annotations

import time
from datetime import date, timedelta
from ipaddress import ip_address
from zoneinfo import ZoneInfo

import pytest

from tests.rulefiles.good import CATEGORIES, GOOD, RANGES, problems
from vmjira.domain.rulebook import Network, Policy, TicketRules
from vmjira.errors import RulesInvalid
from vmjira.rulefiles import load, load_texts

ALL = GOOD | {
    "policy.yaml": """\
timezone: America/New_York
title: '{range.title}: {category.title} {{{iteration.label}}}'
top_hosts: 5
ticket:
  project: VM
  issue_type: Bug
  labels: [patching]
  watchers: [jane]
  fields: {environment: '{{ range.title }}', customfield_1: {value: A}}
  transitions: {close: Done, reopen: To Do}
on_close: strict
auto_close: true
reopen_limit: 0
escalation: {priority: Highest, watcher: jane}
accept: {resolutions: [Won't Fix], for: 12h}
forget_after: 2w
limits: {create: 7, close: 9}
breaker: 0.5
calls_per_second: 2
""",
    "ranges.yaml": """\
ranges:
  - id: boston
    title: Boston Office
    networks: [10.1.0.0/16, 10.2.0.0-10.2.3.255, 10.9.9.9, 'FD00:1::/48', '::1']
    iteration: scan
    identity: [agent_uuid, hostname, ip]
    ticket:
      project: VMBOS
      labels: [boston]
      watchers:
      fields: {customfield_1: {child: B}, customfield_2: 3}
      transitions: {close: Closed}
  - {id: inner, title: Inner, networks: [10.1.5.0/24, 10.2.3.0-10.2.9.9]}
""",
    "acceptances.yaml": """\
acceptances:
  - {reason: Old, approver: jane, until: 2020-01-31, category: web, vulnerability: 10863, network: 10.1.0.0/16}
  - {reason: Old, approver: jane, until: '2027-01-31', host: pc1, range: inner}
""",
    "scanners.yaml": """\
scanners:
  - {id: inbox, type: folder, path: inbox, fetch: '*/5 0-6,20-23/2 1,15 jan-mar MON-fri', timezone: Europe/Berlin}
  - {id: hq, type: nessus, url: 'https://n.example.com/', access_key: '${KEY}', verify: false, scans: [Weekly *]}
  - {id: by-hand, type: upload}
""",
}


def test_every_value_arrives_as_the_domain_wants_it():
    rules = load_texts(ALL)
    policy, boston = rules.policy, rules.ranges[0]
    assert policy.timezone == ZoneInfo("America/New_York")
    assert (policy.top_hosts, policy.on_close, policy.auto_close, policy.reopen_limit) == (5, "strict", "verified", 0)
    assert (policy.escalation.priority, policy.escalation.label, policy.escalation.watcher) == ("Highest", None, "jane")
    assert (policy.accept_resolutions, policy.accept_for) == (("Won't Fix",), timedelta(hours=12))
    assert (policy.forget_after, policy.limit_create, policy.limit_close) == (timedelta(weeks=2), 7, 9)
    assert (policy.calls_per_second, policy.breaker) == (2.0, 0.5)
    assert boston.networks == tuple(
        Network(ip_address(first), ip_address(last))
        for first, last in (
            ("10.1.0.0", "10.1.255.255"),
            ("10.2.0.0", "10.2.3.255"),
            ("10.9.9.9", "10.9.9.9"),
            ("fd00:1::", "fd00:1:0:ffff:ffff:ffff:ffff:ffff"),
            ("::1", "::1"),
        )
    )
    assert (boston.iteration, boston.identity) == ("scan", ("agent_uuid", "hostname", "ip"))
    old, new = rules.acceptances
    assert (old.until, old.vulnerability, old.category) == (date(2020, 1, 31), "10863", "web")
    assert (new.until, new.host, new.range, new.network) == (date(2027, 1, 31), "pc1", "inner", None)
    inbox, hq, by_hand = rules.scanners
    assert (inbox.options, inbox.timezone) == ({"path": "inbox"}, ZoneInfo("Europe/Berlin"))
    assert hq.options == {
        "url": "https://n.example.com",
        "access_key": "${KEY}",
        "verify": False,
        "scans": ("Weekly *",),
    }
    assert (by_hand.options, by_hand.fetch) == ({}, None)


def test_ticket_of_a_range_is_laid_over_that_of_the_policy():
    boston, inner = load_texts(ALL).ranges
    assert boston.ticket == TicketRules(
        project="VMBOS",
        issue_type="Bug",
        labels=("boston",),
        fields={"environment": "{{ range.title }}", "customfield_1": {"child": "B"}, "customfield_2": 3},
        transitions={"close": "Closed", "reopen": "To Do"},
    )
    assert inner.ticket == load_texts(ALL).policy.ticket


def test_what_is_left_out_has_the_defaults_of_the_domain():
    rules = load_texts(GOOD)
    assert rules.policy == Policy()
    assert rules.ranges[0].ticket == TicketRules(project="VM")
    assert (rules.acceptances, rules.scanners, rules.categories[0].due) == ((), (), None)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "acceptances:\n", "acceptances: []\n", "---\n"])
def test_an_optional_file_may_hold_nothing(text):
    assert load_texts(GOOD | {"acceptances.yaml": text}).acceptances == ()


def test_stored_texts_give_the_same_rule_book_again():
    rules = load_texts(ALL)
    assert load_texts(rules.files) == rules
    assert load_texts(dict(reversed(ALL.items()))).digest == rules.digest
    assert load_texts(ALL | {"categories.yaml": CATEGORIES + "# later\n"}).digest != rules.digest
    assert load_texts(GOOD | {"policy.yaml": ""}).digest != load_texts(GOOD).digest


def test_a_folder_gives_the_same_rule_book_as_its_texts(tmp_path):
    folder = write(tmp_path, ALL)
    assert load(folder) == load_texts(ALL)
    (folder / "ranges.yaml").write_bytes(b"\xef\xbb\xbf" + ALL["ranges.yaml"].replace("\n", "\r\n").encode())
    (folder / "README.md").write_text("not a rule file")
    assert load(folder).digest == load_texts(ALL).digest


def test_problems_name_the_file_by_its_folder(tmp_path):
    folder = write(tmp_path, GOOD | {"policy.yaml": "top_hosts: 1\n", "scanners.yml": "scanners: []\n"})
    assert said(folder) == [
        "rules/policy.yaml:1:12: top_hosts: '1' (a number) is not possible; a whole number from 5 to 10",
        "rules/scanners.yml:1:1: unknown rule file, it would be ignored; did you mean 'scanners.yaml'?",
    ]


def test_missing_files_say_what_to_do(tmp_path):
    assert [line.partition(" (")[0] for line in said(write(tmp_path, {}))] == [
        "rules/categories.yaml:1:1: the file is missing; write 'categories:' with at least one entry",
        "rules/ranges.yaml:1:1: the file is missing; write 'ranges:' with at least one entry",
    ]
    assert said(tmp_path / "nowhere") == [
        f"{tmp_path}/nowhere:1:1: there is no such folder; make it, "
        "or point VMJIRA_RULES to the folder that holds categories.yaml"
    ]


def test_a_file_that_cannot_be_read_is_one_problem_and_no_more(tmp_path):
    folder = write(tmp_path, ALL)
    (folder / "ranges.yaml").write_bytes(b"ranges:\n- id: b\xf6ston\n")
    assert said(folder) == ["rules/ranges.yaml:2:1: this is not UTF-8; save the file as UTF-8 text"]
    (folder / "ranges.yaml").unlink()
    (folder / "ranges.yaml").mkdir()
    assert said(folder) == ["rules/ranges.yaml:1:1: cannot be read: Is a directory; check its permissions"]


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "aliases (*name) expand to too many values"),
        ("ticket: " + "[" * 5000, "nested too deeply"),
        ("ticket: " + "{a: " * 50 + "1" + "}" * 50, "nested too deeply"),
        ("ticket: &a {fields: *a}", "nested too deeply"),
        ("title: !!python/object/apply:os.system ['touch /tmp/harm']", "a tag is not allowed"),
        ("title: !!python/name:os.system", "a tag is not allowed"),
        ("title: '" + "x" * 1_000_001 + "'", "larger than 1 MB"),
        ("ticket: {fields: {a: '{{ 9**9**9 }}'}, project: VM}\ntop_hosts: 1", "top_hosts"),
        ("ticket: {fields: {a: '" + "{{ (" * 3000 + "'}}", "Jinja"),
        ("top_hosts: " + "9" * 5000, "top_hosts"),
        ("calls_per_second: .nan", "calls_per_second"),
        ("calls_per_second: .inf", "calls_per_second"),
        ("forget_after: 9999999d", "forget_after"),
        ("title: '" + "{" * 50_000 + "'", "title"),
        ("? {a: b}\n: c", "a key must be plain text"),
        ("\x00", "YAML does not allow"),
        ("title: \ud800", "YAML does not allow"),
        ("*", "not YAML"),
        ("<<: *a", "not YAML"),
    ],
)
def test_hostile_yaml_gives_a_problem_and_no_harm(text, words):
    start = time.monotonic()
    assert any(words in line for line in problems(policy=text))
    assert time.monotonic() - start < 10


def test_no_secret_is_in_any_message():
    texts = (
        "scanners: [{id: a, type: nessus, url: 'https://x:sesame@n', token: sesame, password: {sesame: x}}]",
        "scanners: [{id: a, type: nessus, password: &sesame x, token: &sesame y, secret_key: *sesame}]",
        "scanners: [{id: a, type: nessus, password: !sesame x}]",
        "scanners: [{id: a, type: nessus, password: *sesame}]",
        "scanners: [{id: a, type: nessus, password: !<sesame> x, token: !!sesame x}]",
        "scanners: [{id: a, type: nessus, password: 'sesame}]",
        "scanners: [{id: a, type: nessus, password: @sesame}]",
    )
    for text in texts:
        assert problems(scanners=text)
        assert "sesame" not in "".join(problems(scanners=text))


def test_nested_and_overlapping_networks_are_no_problem():
    both = RANGES + "  - {id: b, title: B, networks: [10.1.5.0/24, 10.1.255.0-10.2.0.9], ticket: {project: VM}}\n"
    assert problems(ranges=both) == []


def write(tmp_path, files):
    folder = tmp_path / "rules"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def said(folder):
    with pytest.raises(RulesInvalid) as caught:
        load(folder)
    return str(caught.value).splitlines()
