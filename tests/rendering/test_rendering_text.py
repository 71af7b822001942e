"""The description, the title and the comments, as a person reads them."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from vmjira.domain.rulebook import Category, Policy, Range
from vmjira.domain.ticket import HostNumbers, OwnNumbers, Source, TopHost
from vmjira.errors import RulesInvalid
from vmjira.rendering import Renderer
from vmjira.rendering.marks import LIMIT
from vmjira.rendering.sample import BARE, FRESH, FULL, SETTLED, TEMPLATES, VERIFIED, WITHOUT_TICKET
from vmjira.rendering.wiki import units

NAMES = [f"{FULL.identifier}.{end}" for end in ("own.csv", "all.csv", "diff.csv", "png")]
FIRST_LINE = 1  # line 0 is our mark
EVIL = "{color:red}*x*|[~admin]!a.png!\n|| h1. ⟦/vmjira⟧ "


def text(view=FULL, attached=NAMES, **options) -> str:
    return Renderer().description(view, attached, **options)


def action(view) -> str:
    return text(view).split("\n")[FIRST_LINE]


def test_it_starts_with_what_to_do_by_when() -> None:
    fresh = replace(FULL, running=FULL.iteration)
    assert action(fresh) == "h2. Patch these 6 hosts by 19 June 2026"


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (FRESH, "h2. Patch this host by 19 June 2026"),
        (FULL, "h2. Patch these 6 hosts by 19 June 2026"),
        (replace(FULL, due=None), "h2. Patch these 6 hosts"),
        (replace(FULL, overdue=True), "h2. Overdue since 19 June 2026: patch these 6 hosts"),
        (BARE, "h2. Nothing is left to patch in this ticket"),
    ],
    ids=["one host", "a later scan", "no date", "overdue", "nothing"],
)
def test_the_first_line_fits_the_case(view, expected: str) -> None:
    assert action(view) == expected


def test_a_ticket_whose_findings_were_all_fixed_is_called_verified() -> None:
    assert "*Verified*: all its 45 findings are fixed." in text(VERIFIED)
    one = replace(FULL, own=OwnNumbers(total=1, fixed=1, hosts=1))
    assert "*Verified*: its one finding is fixed." in text(one)


REST = (
    "* 3 moved to another category or range: 3 to a ticket that is not in the tracker yet (Windows updates – ",
    "* 1 accepted as a risk by jane.doe until 15 November 2026: Isolated network.",
    "* 1 accepted as a risk.",
    "* 2 gone: no scan finds their hosts any more. They were last seen between 1 March 2026 and 3 March 2026.",
)


def test_a_settled_ticket_is_not_called_verified_and_says_what_became_of_the_rest() -> None:
    keyed = replace(SETTLED, moved_to=(replace(SETTLED.moved_to[0], ticket=FULL.previous),))
    for view, shown in ((SETTLED, text(SETTLED)), (SETTLED, Renderer().comment("settled", view=SETTLED))):
        assert "*Settled, not verified*: " in shown and "*Verified*" not in shown, view
        assert [line for line in REST if line not in shown] == []
    assert "38 of its 45 findings were fixed. The others:" in text(SETTLED)
    comment = Renderer().comment("settled", view=keyed)
    assert "none of the 45 findings of this ticket is open any more, and 38 of them were fixed" in comment
    assert "3 to VM-22 (Windows bulletins – Boston Office – Scan 22). Patch them there." in comment


def test_lists_of_an_iteration_that_is_past_say_that_they_are_frozen() -> None:
    past = replace(FULL, name="2026-W23")
    for kind in ("all.csv", "diff.csv", "png"):
        (line,) = [line for line in text(past).split("\n") if line.startswith(f"* [^{FULL.identifier}.{kind}]")]
        assert line.endswith("; as of Scan 2026-W23, no longer updated")
    assert "no longer updated" not in text(replace(past, running=past.iteration))
    assert text(past).count("no longer updated") == 3


def test_an_iteration_whose_number_was_used_before_is_called_by_its_label() -> None:
    shown = text(replace(FULL, name="2026-W23", running_name="2026-W25"))
    assert "h3. Hosts at Scan 2026-W23\n" in shown and "ticket as of Scan 2026-W25" in shown


def test_numbers_of_hosts_are_those_of_the_tickets_scan_and_own_findings_those_of_now() -> None:
    shown = text()
    assert "h3. Hosts at Scan 23" in shown
    assert "|*New*|12|patch these to close the ticket|" in shown
    assert "|*Safe*|30|good job, patch management works|" in shown
    assert "|*Remaining*|5|lack of patch management: they belong to earlier tickets|" in shown
    assert "|*Unverified*|2|not fully scanned in this iteration, so their state is unknown|" in shown
    assert "|Vulnerable|17|" in shown and "|Last time|37|" in shown
    assert "h3. Findings of this ticket as of Scan 25" in shown
    assert "* *9* open, on 6 hosts" in shown
    assert "* *2* of the open ones unverified: Scan 25 did not cover them" in shown


def test_more_open_hosts_than_new_ones_are_explained() -> None:
    fresh = replace(FULL, running=FULL.iteration, then=HostNumbers(vulnerable=8, last=3, new=5, remaining=3))
    assert "1 of these hosts also has findings of earlier tickets. The table below counts it as remaining." in text(
        fresh
    )


def test_sections_come_in_the_order_of_their_use() -> None:
    headings = re.findall(r"^h\d\. (\w+)", text(), re.MULTILINE)
    assert headings == ["Patch", "Hosts", "Findings", "Most", "Tickets", "Attached", "Scans"]


def test_top_hosts_neighbours_attachments_and_sources_are_named() -> None:
    shown = text(replace(FULL, zone=ZoneInfo("America/New_York")))
    assert "|pc-7.example.com|10.1.2.3|35|4|" in shown
    assert "* Previous: VM-22, Windows bulletins – Boston Office – Scan 22" in shown
    assert "* Next: not in the tracker yet, Windows" in shown
    assert f"* [^{FULL.identifier}.own.csv]: what to patch" in shown
    told = "120 hosts of this range, 110 with credentials, 7 without; 3 hosts: the scan does not say whether"
    assert f"* nessus scan 1f0c8a63d2be, 2026-06-05 06:00 EDT: {told} credentials worked" in shown
    assert "7 hosts of this range (pc-8.example.com 10.1.2.4, last scanned 2026-05-29 06:00 EDT; and 6 more)" in shown


def test_the_picture_is_shown_or_only_referred_to() -> None:
    assert f"!{FULL.identifier}.png|width=560!" in text()
    assert "!" not in text(picture=False)
    assert f"[^{FULL.identifier}.png]" in text(picture=False)
    assert ".png" not in text(attached=NAMES[:1])


def test_a_name_with_markup_in_it_is_no_picture_and_no_link() -> None:
    view = replace(FULL, identifier="a_b.c!d.1")
    shown = text(view, attached=["a_b.c!d.1.png", "a_b.own.csv"])
    assert "!a_b" not in shown and "* a\\_b.c\\!d.1.png" in shown
    assert "* [^a_b.own.csv]" in shown


def test_parts_of_a_split_report_are_explained_like_the_whole() -> None:
    shown = text(attached=[f"{FULL.identifier}.own.{number}.csv.gz" for number in (1, 2)])
    assert shown.count("what to patch") == 2


def hostile():
    return replace(
        FULL,
        title=EVIL,
        category=Category("c", EVIL, ""),
        range=Range("r", EVIL, ()),
        previous=replace(FULL.previous, title=EVIL),
        top=(TopHost(EVIL, EVIL, EVIL, 1, 1),),
        sources=(Source(EVIL, datetime(2026, 6, 5, tzinfo=UTC), 1, 1, 0),),
    )


def test_hostile_names_neither_break_a_table_nor_forge_markup_nor_marks() -> None:
    shown = text(hostile(), attached=[*NAMES, "evil].csv", EVIL])
    rows = [line for line in shown.split("\n") if re.match(r"\|[^|]", line)]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (4, 5) for row in rows)
    assert not re.search(r"(?<!\\)\{|(?<!\\)\[~", shown)
    assert shown.count("⟦") == 2
    assert Renderer().merge(f"a{shown}b", "X") == "aXb"


def test_long_names_give_way_and_the_text_says_so() -> None:
    long = "x*" * 40_000
    top = tuple(TopHost(f"ip:{i}", f"10.1.2.{i}", f"{i}{long}", 9, 1) for i in range(10))
    view = replace(hostile(), title=long, category=Category("c", long, ""), range=Range("r", long, ()), top=top)
    for budget in (LIMIT, 6_000, 4_000):
        shown = Renderer().description(view, NAMES, budget=budget)
        assert units(shown) <= budget
        assert "|*New*|12|" in shown
        assert shown.count("|10.1.2.") >= 5
        assert shown.endswith("⟦/vmjira⟧")
    tightest = Renderer().description(view, NAMES, budget=2_300)
    assert f"5 hosts are left out. The full list is [^{FULL.identifier}.all.csv]." in tightest


def test_many_scans_are_summed_up() -> None:
    sources = tuple(Source("nessus", datetime(2026, 6, day, tzinfo=UTC), 1, 1, 0) for day in range(1, 13))
    assert "* and 7 earlier scans" in text(replace(FULL, sources=sources))


def title(format_: str, view=FULL, name: str = "23") -> str:
    return Renderer().title(Policy(title=format_), view.category, view.range, view.iteration, name)


def test_a_title_is_made_by_the_policys_format() -> None:
    assert title(Policy().title) == "Windows bulletins – Boston Office – Scan 23"
    assert title(Policy().title, name="2026-W23") == "Windows bulletins – Boston Office – Scan 2026-W23"
    assert title("Scan {iteration.number}", name="2026-W23") == "Scan 23"
    assert title("{category.id} {range.id} {iteration.label} {{x}}") == "ms-exploitable boston 2026-W23 {x}"


@pytest.mark.parametrize(
    "format_", ["{category.where}", "{range.__class__}", "{0}", "{iteration.label!r}", "{", "{x:>9}"]
)
def test_a_title_reaches_nothing_else(format_: str) -> None:
    with pytest.raises(RulesInvalid, match=r"policy\.yaml:1:1: title"):
        title(format_)


def test_a_long_title_keeps_its_number_and_one_line() -> None:
    view = replace(FULL, category=Category("c", "🙂\n" * 300, ""), range=Range("r", "Boston", ()))
    made = title(Policy().title, view)
    assert units(made) <= 255
    assert made.endswith("… – Boston – Scan 23")
    assert "\n" not in made
    both = replace(view, range=Range("r", "x" * 900, ()))
    assert title(Policy().title, both).endswith("– Scan 23")


def comment(kind: str, **changes) -> str:
    name = f"comment_{kind}.j2"
    view = None if name in WITHOUT_TICKET else FULL
    return Renderer().comment(kind, view=view, **TEMPLATES[name] | changes)


def test_the_comment_of_a_verified_ticket_names_its_evidence() -> None:
    shown = comment("verified")
    assert "all 45 findings" in shown and "as of Scan 25" in shown
    assert "* nessus scan 1f0c8a63d2be, 2026-06-05 10:00 UTC: 30 findings fixed on 12 hosts, 10 with" in shown


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("created_notes", "* no user 'boston\\-admins': left unassigned"),
        ("closed", "closed while 9 findings are open on 6 hosts"),
        ("waiting", "did not tell of 9 findings on 6 hosts"),
        ("reopened", "* pc-7.example.com 10.1.2.3: SMB flaw; last seen 2026-06-12 04:00, after the closing"),
        ("escalated", "reopened 3 times, was closed again, and 9 findings are still open"),
        ("stuck", "its 9 findings stay open on 6 hosts"),
        ("unaccepted", "9 findings are open on 6 hosts"),
        ("withdrawn", "An earlier comment says that all findings of this ticket have ended. That is not so"),
        ("accepted", "2 open findings of this ticket count as accepted until 2026-12-01"),
        ("refused", "The tracker says: no such transition"),
        ("duplicate", "a duplicate of VM-22"),
    ],
)
def test_comments_say_what_happened(kind: str, expected: str) -> None:
    assert expected.replace("\\-", "-") in comment(kind)


def test_comments_are_escaped_and_bounded() -> None:
    assert "\\{color:red\\}" in comment("refused", answer=EVIL)
    long = comment("refused", answer="x " * 40_000)
    assert long.endswith("…") and units(long) < 2_100
    assert units(comment("reopened", lines=["*" * 2_000] * 20)) <= LIMIT
    assert "* and 80 more hosts" in comment("reopened", lines=["x"] * 100)


def test_one_accepted_finding_reads_naturally() -> None:
    shown = comment("accepted", findings=1, until=date(2026, 12, 1))
    assert "1 open finding of this ticket counts as accepted" in shown


def test_further_fields_are_filled_in_wherever_text_stands() -> None:
    given = {"customfield_1": "{{ range.title }}: {{ then.new }} new", "parts": [{"name": "{{ category.id }}"}], "n": 3}
    filled = Renderer().fields(FULL, given)
    assert filled == {
        "customfield_1": f"{FULL.range.title}: {FULL.then.new} new",
        "parts": [{"name": FULL.category.id}],
        "n": 3,
    }


def test_a_field_that_cannot_be_filled_in_is_a_problem_of_the_policy() -> None:
    with pytest.raises(RulesInvalid, match=r"policy.yaml:1:1: fields: '\{\{ nobody \}\}'"):
        Renderer().fields(FULL, {"customfield_1": "{{ nobody }}"})
