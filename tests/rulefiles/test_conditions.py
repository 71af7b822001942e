from __future__ import annotations

import pytest

from tests.rulefiles.good import condition
from vmjira.rulefiles.conditions import FUNCTIONS

SEVERITIES = "allowed, lowest first: info, low, medium, high, critical"


@pytest.mark.parametrize(
    "where",
    [
        "severity >= 'high'",
        "severity BETWEEN 'low' AND 'high'",
        "'low' < severity",
        "severity NOT IN ('info', 'low')",
        "family = 'Windows : Microsoft Bulletins' AND severity >= 'high' AND exploit_available",
        "NOT exploit_available",
        "exploit_available IS NOT TRUE",
        "true",
        "title ILIKE '%it''s%' OR family ~ '^(a|b)$'",
        "array_contains(cves, 'CVE-2021-44228')",
        "'22/tcp' = ANY(ports)",
        "ports IS NOT NULL AND array_length(ports) > 1",
        "COALESCE(cvss3, cvss2) >= 7.5",
        "published > date '2026-01-31'",
        "EXTRACT(year FROM published) >= 2020",
        "ip LIKE '10.1.%' AND hostname LIKE 'web%' AND netbios IS NULL AND os ILIKE '%linux%'",
        "CASE WHEN scanner = 'nessus' THEN exploit_available ELSE severity = 'critical' END",
        "TRY_CAST(vulnerability_id AS int) > 10000",
        "title = 'SELECT * FROM users -- output'",
        "vulnerability_id IN (" + ", ".join(f"'{number}'" for number in range(3000)) + ")",
    ],
)
def test_a_condition_that_is_right_is_taken(where):
    assert condition(where) == ""


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("famly = 'x'", "unknown column 'famly'; did you mean 'family'?"),
        ("Family = 'x'", "unknown column 'Family'; did you mean 'family'?"),
        ("severity >= 'hihg'", f"no severity is 'hihg'; did you mean 'high'? {SEVERITIES}"),
        ("severity = 'High'", f"no severity is 'High'; did you mean 'high'? {SEVERITIES}"),
        ("severity IN ('high', 'urgent')", f"no severity is 'urgent'; {SEVERITIES}"),
        ("'urgent' <= severity", f"no severity is 'urgent'; {SEVERITIES}"),
        ("severity NOT BETWEEN 'low' AND 'urgent'", f"no severity is 'urgent'; {SEVERITIES}"),
        ("severity > 3", "severity is compared with something else; compare it with a text (" + SEVERITIES + ")"),
        (
            "exploit_available = 'yes'",
            "'exploit_available' is true or false, not 'yes'; write exploit_available or NOT exploit_available",
        ),
        ("cvss3", "the condition gives a number, not true or false; compare it, for instance with = or >="),
        ("title", "the condition gives text, not true or false; compare it, for instance with = or >="),
        ("cves", "the condition gives a list of texts, not true or false; compare it, for instance with = or >="),
        ("NULL", "the condition gives something else, not true or false; compare it, for instance with = or >="),
        (
            'family = "Windows"',
            "\"Windows\" in double quotes is a column, and there is none; write text in single quotes: 'Windows'",
        ),
        (
            "family = 3",
            "values of different kinds are compared or combined; "
            "family is text; text stands in single quotes, a number in none",
        ),
        (
            "vulnerability_id IN (1, 2)",
            "IN compares values of different kinds; "
            "vulnerability_id is text; text stands in single quotes, a number in none",
        ),
        (
            "cves = 'CVE-2021-44228'",
            "a list is compared with one text; write array_contains(cves, 'CVE-2021-44228') "
            "(lists: cves, exploits, references, ports)",
        ),
        ("published > '2026-01-31'", "a date is compared with text; write date '2026-01-31' instead of '2026-01-31'"),
        (
            "published < current_date",
            "'current_date' changes from day to day, a category must not; write a date: date '2026-01-31'",
        ),
        ("family ~ '('", "the regular expression cannot be read; check its brackets, and write \\( for a real bracket"),
        (
            "CAST(title AS int) > 7",
            "CAST fails on text that is no number, and one such finding stops every scan; write TRY_CAST",
        ),
        (
            "severity = 'high' exploit_available",
            "'exploit_available' stands there like a new name (AS …); is AND, OR or an operator missing before it?",
        ),
        ('title = "x', "a double quote is left open; text stands in single quotes"),
        ("END = 1", "this is no SQL condition; check brackets, quotes and operators"),
        ("title = 'a' 'b' 'c'", "cannot read the condition from ''c'' on; is AND or OR missing, or a quote?"),
        ("a b c", "cannot read the condition from 'c' on; is AND or OR missing, or a quote?"),
        ("severity >=", "'severity >=' is no SQL condition; check brackets, quotes and operators"),
        ("title = 'x", "a single quote is left open; close it, and write '' for a quote inside text"),
        ("SELECT true", "'SELECT': a condition looks at one finding alone; queries and windows are not allowed"),
        (
            "family IN (SELECT family FROM self)",
            "'SELECT': a condition looks at one finding alone; queries and windows are not allowed",
        ),
        ("COUNT(*) > 1", f"unknown function 'COUNT'; allowed: {', '.join(FUNCTIONS)}"),
        ("read_csv('/etc/passwd') = 'x'", f"unknown function 'read_csv'; allowed: {', '.join(FUNCTIONS)}"),
        ("true -- always", "SQL comments are not allowed; write a YAML comment, # like this, above the condition"),
        (
            "output LIKE '%version%'",
            "'output' cannot be used: it differs from host to host and scan to scan, so findings would wander between "
            "tickets; use title, family, vulnerability_id or cves",
        ),
        (
            " AND ".join(["exploit_available"] * 200),
            "the condition is too long; at most 100 operators and 40000 characters: use IN ('…', '…') or a regular "
            "expression, or make two categories",
        ),
    ],
)
def test_a_condition_that_is_wrong_is_explained(where, words):
    assert condition(where) == words


@pytest.mark.parametrize(
    "where",
    ["?", "title = $1", "title SIMILAR TO 'x'", "[1, 2]", "{'a': 1}.a = 1", "*", "title[1] = 'x'", "title.x = 'y'",
     "@@", "(" * 300 + "true" + ")" * 300, "NOT title", "cvss3 + title > 1", "title = 'x';", "x'00'", "1 = 1 LIMIT 3"],
)  # fmt: skip
def test_nothing_of_rust_shows_in_a_message(where):
    words = condition(where)
    assert words
    assert not any(mark in words for mark in ("Ident", "col(", "Span", "SQLInterface", "dtype", "\n", "Utf8"))
    assert len(words) < 300


def test_every_allowed_function_exists_in_polars():
    unsupported = [name for name in FUNCTIONS if "kind of SQL" in condition(f"{name}(title, 1, 1, 1, 1) = 'x'")]
    assert unsupported == []
