"""vmjira's own pages: before the first scan, with tickets, and with names that mean harm."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from lxml import html

from tests.flows.jira import running
from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World, a_world
from tests.web.conftest import NOW, web_of
from tests.web.reading import rows, words
from vmjira.domain.frames import scan_id
from vmjira.flows.rows import DeliveryRow, FiringRow, Mark, OperationRow
from vmjira.web import create_app

PAGES = ("/", "/tickets", "/search", "/rules", "/scanners", "/events", "/operations", "/audit", "/acceptances")
FIRST = "windows.boston.2026-W23"
OF_A_SCAN = (
    *PAGES, "/cells/windows/boston", f"/tickets/{FIRST}", "/hosts/10.1.0.1", "/vulnerabilities/nessus/100",
    "/search?q=1", "/rules?host=10.1.0.1",
)  # fmt: skip
HARM = "<script>alert(1)</script>'\"{{7*7}}"


def two_weeks(world: World) -> World:
    """Two rounds in Boston, one in New York."""
    world.fold(week(23), {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB], "10.2.0.1": [APACHE]})
    world.fold(week(24), {"10.1.0.1": [SMB], "10.1.0.2": [], "10.1.0.3": [RDP]})
    return world


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Before the first scan. To look at only: all tests share it."""
    folder = tmp_path_factory.mktemp("nothing")
    with running(folder, "datacenter") as jira, a_world(folder / "world", jira) as world:
        yield world


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """To look at only: all tests share it."""
    folder = tmp_path_factory.mktemp("weeks")
    with running(folder, "datacenter") as jira, a_world(folder / "world", jira) as world:
        yield two_weeks(world)


@pytest.fixture
def web(request: pytest.FixtureRequest) -> FlaskClient:
    """The pages of the world that the test names; of the one without scans if it names none."""
    name = next((name for name in ("weeks", "world") if name in request.fixturenames), "nothing")
    return web_of(request.getfixturevalue(name)).test_client()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_answers_before_the_first_scan(web: FlaskClient, path: str):
    answer = web.get(path)
    assert answer.status_code == 200 and answer.mimetype == "text/html"
    assert "<h1>" in answer.text


def test_every_page_leads_to_every_other(weeks: World, web: FlaskClient):
    main = {"/", "/tickets", "/search", "/rules", "/scanners", "/events", "/operations", "/acceptances"}
    for path in OF_A_SCAN:
        page = html.fromstring(web.get(path).text)
        assert main == set(page.xpath("//header//nav//a/@href"))
        assert len(page.xpath("//h1")) == 1 and page.xpath("//a[@class='skip']/@href") == ["#main"]
        assert all(table.xpath("caption") and table.xpath(".//th[@scope]") for table in page.iter("table"))


# --- overview


def test_the_overview_without_scans_says_what_to_do(web: FlaskClient):
    assert "vmjira ingest FILE --wait" in web.get("/").text


def test_the_overview_shows_the_numbers_of_every_cell_with_trend_and_ticket(weeks: World, web: FlaskClient):
    page = web.get("/").text
    (windows, servers) = rows(page, "by category and range")
    keys = {name: each["key"] for name, each in weeks.known().items()}
    assert windows[0] == "Windows updates" and windows[2] == "–"
    assert windows[1] == (
        f"2 vulnerable 1 new · 1 remaining · 1 safe {keys['windows.boston.2026-W24']} 1 overdue 2026-W24"
    )
    assert servers[2] == f"1 vulnerable 1 new · 0 remaining · 0 safe {keys['web.newyork.2026-W23']} 2026-W23"
    assert 'aria-label="2 to 2 over 2 iterations"' in page
    assert f'href="{weeks.jira.url}/browse/{keys[FIRST.replace("23", "24")]}"' in page
    assert "3 tickets with something left to patch 1 of them overdue" in words(page)
    assert "2026-06-08-2000.nessus" in page


@pytest.mark.parametrize(
    ("hosts", "state"),
    [
        ({"10.1.0.1": [APACHE]}, "remaining"),
        ({"10.1.0.1": [APACHE], "10.1.0.2": [APACHE]}, "new"),
        ({"10.1.0.1": []}, "clean"),
        ({"10.1.0.9": []}, "unverified"),
    ],
)
def test_the_colour_of_a_cell_tells_what_matters_most(world: World, web: FlaskClient, hosts: dict, state: str):
    world.fold(week(23), {"10.1.0.1": [APACHE]})
    world.fold(week(24), hosts)
    (cell,) = html.fromstring(web.get("/").text).xpath("//td[contains(@class, 'cell')]/@class")
    assert cell == f"cell {state}"


def test_a_ticket_whose_due_day_is_over_makes_its_cell_overdue(world: World, web: FlaskClient):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    assert 'class="cell overdue"' in web.get("/").text


def test_many_ranges_come_page_by_page(world: World, web: FlaskClient):
    ranges = "".join(f"  - {{id: r{i}, title: Range {i}, networks: [10.{i}.0.0/16]}}\n" for i in range(23))
    world.write_rules(ranges=f"ranges:\n{ranges}")
    world.ingest(world.scan(week(23), {f"10.{i}.0.1": [SMB] for i in range(23)}))
    shown = [len(rows(web.get(f"/?page={page}").text, "by category")[0]) - 1 for page in (1, 2, 3)]
    assert shown == [10, 10, 3]
    assert "page 2 of 3" in words(web.get("/?page=2").text)


# --- what needs a person


def attention(web: FlaskClient) -> list[str]:
    page = html.fromstring(web.get("/").text)
    return [" ".join(each.text_content().split()) for each in page.xpath("//section[@class='attention']//li")]


def test_nothing_needs_a_person_when_all_is_well(weeks: World, web: FlaskClient):
    assert attention(web) == []


def test_what_the_tracker_refused_needs_a_person(world: World, web: FlaskClient):
    world.write_rules(ranges=RANGES.replace("[10.2.0.0/16]", "[10.2.0.0/16], ticket: {project: NONE}"))
    world.fold(week(23), {"10.2.0.1": [SMB]})
    (item,) = attention(web)
    assert item.startswith("The tracker refused 1 operation The latest:") and "valid project" in item


def test_a_plan_above_the_limits_needs_a_person(world: World, web: FlaskClient):
    world.write_rules(policy=POLICY + "limits: {create: 1}\n")
    world.fold(week(23), {"10.1.0.1": [SMB], "10.2.0.1": [SMB]})
    (item,) = attention(web)
    assert item.startswith("Plan v1 waits for a release") and "2 × create" in item
    assert world.jira.tickets() == []


def test_a_typo_in_a_rule_file_appears_and_disappears(world: World, web: FlaskClient):
    two_weeks(world)
    world.write_rules(categories=CATEGORIES.replace("family =", "famly ="))
    (item,) = attention(web)
    assert item.startswith("The rule files have 2 problems") and "famly" in item
    assert "The files in the folder have problems" in words(web.get("/rules").text)
    world.write_rules(categories=CATEGORIES)
    assert attention(web) == [] and "problems" not in words(web.get("/rules").text)


def test_a_silent_scanner_and_an_event_that_failed_are_worth_a_look(world: World, web: FlaskClient):
    for number in (17, 18, 19):
        world.ingest(world.scan(week(number), {"10.1.0.1": []}))
    with world.store.begin() as unit:
        unit.add_delivery(DeliveryRow("d1", NOW, {}, b"{}", state="failed", answer="no"))
    assert attention(web) == [
        "1 event could not be handled What the tracker told is kept; the reason stands beside it.",
        "nessus is silent for 45 days The last of 3 scans ended 2026-05-04; a pause of 7 days is usual at most.",
    ]


def test_what_the_doctor_found_and_a_job_that_failed_need_a_person(world: World, web: FlaskClient):
    wrong = [{"what": "no right to close", "how": "grant it", "where": ""}]
    with world.store.begin() as unit:
        unit.put_mark(Mark("doctor", NOW, {"checks": 9, "wrong": wrong}))
        unit.put_mark(Mark("schedule", NOW, {"scanners": {"lab": {"silent": True, "since": "2026-06-01T00:00:00+00:00",
                                                                  "delivered": True}}}))  # fmt: skip
        unit.add_firing(FiringRow("enrich", NOW, "failed", "no answer"))
    assert attention(web) == [
        "The doctor found 1 problem in the tracker no right to close: grant it",
        "The job enrich failed no answer",
        "lab is silent for 18 days The last scan was on 2026-06-01.",
    ]
    jobs = {row[0]: row for row in rows(web.get("/scanners").text, "What the clock does")}
    assert jobs["enrich"][3:] == ["2026-06-19 12:00", "failed", "no answer"]
    assert jobs["reconcile"][1] == "2026-06-19 12:15" and jobs["reconcile"][3] == "not yet"


def test_work_that_waits_without_a_worker_needs_a_person(world: World, web: FlaskClient):
    with world.store.begin() as unit:
        unit.add_operations([OperationRow("o", "update", FIRST, "why", planned_at=week(24))])
    (item,) = attention(web)
    assert item.startswith("No worker is running")


# --- cells and tickets


def test_a_cell_shows_its_iterations_its_burn_down_and_its_chain_of_tickets(weeks: World, web: FlaskClient):
    page = web.get("/cells/windows/boston").text
    assert rows(page, "Hosts over iterations") == [
        ["2026-W24", "1", "1", "1", "0", "2", "2"],
        ["2026-W23", "2", "0", "0", "0", "2", "0"],
    ]
    chain = rows(page, "The newest first")
    assert [[each[0], *each[3:]] for each in chain] == [
        ["2026-W24", "1", "0", "1", "0", "", "–"],
        ["2026-W23", "3", "2", "1", "0", "7", "67%"],  # one is open, and its due day is over
    ]
    told = words(page)
    assert "7 median days to fix 67% fixed in due time (14 days)" in told
    assert "Lines over 2 points. At the end: 2026-W23: 1; 2026-W24: 1" in page


def test_tickets_are_listed_by_what_is_due_first_and_by_what_is_left(weeks: World, web: FlaskClient):
    titles = [[row[0], row[3]] for row in rows(web.get("/tickets").text, "Tickets")]
    assert titles == [
        ["Windows updates – Boston Office – Scan 23", "2026-06-15"],
        ["Windows updates – Boston Office – Scan 24", "2026-06-22"],
        ["Web servers – New York Office – Scan 23", ""],
    ]
    assert len(rows(web.get("/tickets?which=overdue").text, "Tickets")) == 1
    assert len(rows(web.get("/tickets?which=all&range=newyork").text, "Tickets")) == 1


def test_a_ticket_shows_the_evidence_of_each_host_and_what_was_done_and_why(weeks: World, web: FlaskClient):
    page = web.get(f"/tickets/{FIRST}").text
    with weeks.store.reading() as unit:
        scans = {row.finished_at: scan_id(row.digest) for row in unit.scans()}
    first, second = (f"{at:%Y-%m-%d %H:%M}scan {scans[at]}" for at in (week(23), week(24)))
    assert rows(page, "Findings on 10.1.0.1") == [
        ["SMB flaw", "high", "remaining", "445/tcp", "2026-06-01 20:00", second, ""],
        ["RDP flaw", "critical", "fixed", "3389/tcp", "2026-06-01 20:00", first, second],
    ]
    told = words(page)
    assert "10.1.0.1 high 1 open of 2" in told and "nessus 2026-06-08 20:00, with credentials" in told
    assert "2026-06-15, overdue" in told
    done = rows(page, "Operations of this ticket")
    assert [each[2] for each in done] == ["update", "create"]
    assert "first detected in 2026-W23" in done[1][3]


def test_evidence_is_shown_by_state(weeks: World, web: FlaskClient):
    page = web.get(f"/tickets/{FIRST}?state=fixed").text
    assert [row[2] for row in rows(page, "Findings on 10.1.0.1")] == ["fixed"]
    assert rows(web.get(f"/tickets/{FIRST}?state=open").text, "Findings on 10.1.0.2") == []
    assert web.get(f"/tickets/{FIRST}?state=nonsense").status_code == 200


def test_the_hosts_of_a_large_ticket_come_page_by_page(world: World, web: FlaskClient):
    world.ingest(world.scan(week(23), {f"10.1.0.{i}": [SMB] for i in range(1, 61)}))
    pages = [html.fromstring(web.get(f"/tickets/{FIRST}?page={n}").text).xpath("//details") for n in (1, 2, 3, 4)]
    assert [len(each) for each in pages] == [25, 25, 10, 0]


def test_a_ticket_is_found_by_its_key(weeks: World, web: FlaskClient):
    answer = web.get(f"/tickets/{weeks.known()[FIRST]['key']}")
    assert answer.status_code == 302 and answer.location == f"/tickets/{FIRST}"


@pytest.mark.parametrize("identifier", [FIRST, "windows.boston.2026-W24"])
def test_lists_are_downloaded_byte_for_byte_as_they_are_attached(weeks: World, web: FlaskClient, identifier: str):
    ticket = next(each for each in weeks.jira.tickets() if each.key == weeks.known()[identifier]["key"])
    attached = {name: content for name, content in ticket.files.items() if name.endswith(".csv")}
    assert len(attached) == 3
    for name, content in attached.items():
        kind = name.removesuffix(".csv").rpartition(".")[2]
        answer = web.get(f"/tickets/{identifier}/{kind}.csv")
        assert answer.data == content, name
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'


# --- hosts, vulnerabilities, search


@pytest.mark.parametrize("name", ["ip:10.1.0.1", "10.1.0.1", "PC1.example.com"])
def test_a_host_shows_who_it_is_and_every_life_of_its_findings(world: World, web: FlaskClient, name: str):
    world.fold(week(23), {"10.1.0.1": [SMB, RDP]}, names={"10.1.0.1": "pc1.example.com"})
    world.fold(week(24), {"10.1.0.1": [SMB]}, names={"10.1.0.1": "pc1.example.com"})
    page = web.get(f"/hosts/{name}").text
    assert "<h1>pc1.example.com</h1>" in page and "identified by ip" in page
    assert rows(page, "The newest observation") == [["nessus", "2026-06-08 20:00", "yes", "yes"]]
    assert [[each[0], each[2], each[3]] for each in rows(page, "2 in all")] == [
        ["SMB flaw", "remaining", FIRST],
        ["RDP flaw", "fixed", FIRST],
    ]
    assert "At the end: open: 1" in page


def test_a_vulnerability_shows_where_it_is_open(weeks: World, web: FlaskClient):
    page = web.get("/vulnerabilities/nessus/101").text
    assert "Open on 1 host" in words(page) and "RDP flaw, described." in page
    assert [row[0] for row in rows(page, "longest")] == ["10.1.0.3"]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("10.1.0.", "3 hosts"), ("smb", "1 vulnerability"), ("101", "1 vulnerability"), ("boston", "2 tickets"),
        ("VM-1", "1 ticket"), ("%", "Nothing has “%” in it"), ("_", "Nothing has “_” in it"), ("'\"--", "Nothing has"),
        (" ", "Search"),
    ],
)  # fmt: skip
def test_one_box_finds_hosts_vulnerabilities_and_tickets(weeks: World, web: FlaskClient, q: str, found: str):
    assert found in words(web.get("/search", query_string={"q": q}).text)


def test_what_is_found_comes_page_by_page(world: World, web: FlaskClient):
    world.ingest(world.scan(week(23), {f"10.1.0.{i}": [SMB] for i in range(1, 121)}))
    assert len(rows(web.get("/search?q=10.1").text, "Hosts")) == 10
    assert [len(rows(web.get(f"/search?q=10.1&kind=hosts&page={n}").text, "Hosts")) for n in (1, 2, 3)] == [50, 50, 20]


# --- rules, scanners


def test_the_rules_in_force_are_shown_with_what_changed_when(world: World, web: FlaskClient):
    two_weeks(world)
    world.write_rules(categories=CATEGORIES.replace("Windows updates", "Windows"))
    world.ingest()
    page = web.get("/rules").text
    assert "+  - {id: windows, title: Windows, where:" in page and "-  - {id: windows, title: Windows updates" in page
    assert [row[0] for row in rows(page, "The first condition")] == ["Windows", "Web servers"]


def test_the_form_explains_why_a_host_is_where_it_is(weeks: World, web: FlaskClient):
    told = words(web.get("/rules?host=10.1.0.1&vulnerability=100").text)
    assert "10.1.0.1 lies in its networks" in told and "the first condition that holds" in told
    assert "no scan has observed it" in words(web.get("/rules?host=nobody").text)
    assert "Name a host" in words(web.get("/rules?vulnerability=100").text)


def test_scanners_and_scans_are_listed(weeks: World, web: FlaskClient):
    page = web.get("/scanners").text
    assert rows(page, "of which scans came in") == [["nessus", "2", "2026-06-01 20:00", "2026-06-08 20:00"]]
    names = [row[1].removesuffix("Withdraw") for row in rows(page, "2 scans")]
    assert names == ["2026-06-08-2000.nessus", "2026-06-01-2000.nessus"]


# --- whatever comes


def test_operations_show_why_and_what_became_of_it_of_all_or_of_one_ticket(world: World, web: FlaskClient):
    world.write_rules(ranges=RANGES.replace("[10.2.0.0/16]", "[10.2.0.0/16], ticket: {project: NONE}"))
    world.fold(week(23), {"10.1.0.1": [SMB], "10.2.0.1": [SMB]})
    page = words(web.get("/operations").text)
    assert "2 operations" in page and "refused" in page and "valid project" in page
    assert "1 finding on 1 host first detected in 2026-W23" in page
    page = words(web.get(f"/operations?ticket={FIRST}").text)
    assert "1 operations" in page and "valid project" not in page
    assert len(rows(web.get("/operations?state=refused").text, "Operations")) == 1
    for query in ("page=0", "page=-3", "page=x", "page=99", "ticket=none", "state=none"):
        assert web.get(f"/operations?{query}").status_code == 200


def test_pages_say_the_same_on_every_database(anywhere: World):
    anywhere.write_rules(policy=POLICY + "limits: {create: 1}\n")
    anywhere.fold(week(23), {"10.1.0.1": [SMB, RDP], "10.2.0.1": [APACHE]})
    anywhere.write_rules(policy=POLICY)
    anywhere.fold(week(24), {"10.1.0.1": [SMB]})
    web = web_of(anywhere).test_client()
    for path in OF_A_SCAN:
        assert web.get(path).status_code == 200, path
    assert attention(web)[0].startswith("Plan v1 waits for a release")
    assert len(rows(web.get("/tickets?which=living").text, "Tickets")) == 2
    assert len(rows(web.get("/search?q=BOSTON&kind=tickets").text, "Tickets")) == 1


def test_names_that_mean_harm_are_shown_as_they_are(world: World, web: FlaskClient):
    title = HARM.replace("'", "''")
    world.write_rules(
        categories=CATEGORIES.replace("Windows updates", f"'{title}'"), policy=POLICY + "title: '{category.title}'\n"
    )
    world.fold(week(23), {"10.1.0.1": [SMB]}, name="<img src=x onerror=alert(2)>.nessus", names={"10.1.0.1": HARM})
    for path in (*OF_A_SCAN, f"/search?q={HARM}", f"/rules?host={HARM}", f"/operations?did={HARM}&ticket={HARM}"):
        page = web.get(path).text
        assert "<script" not in page and "<img" not in page, path
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#39;&#34;{{7*7}}" in web.get("/").text
    assert "&lt;img src=x onerror=alert(2)&gt;" in web.get("/").text


@pytest.mark.parametrize(
    "path",
    [
        "/cells/windows/nowhere", "/cells/%3Cscript%3E/boston", "/nowhere", "/cells/windows", "/tickets/none",
        "/tickets/none/own.csv", "/hosts/none", "/hosts//", "/vulnerabilities/nessus/1", "/operations/steal",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_not_found_and_said_in_words(weeks: World, web: FlaskClient, path: str):
    answer = web.get(path)
    assert answer.status_code == 404 and "<script>" not in answer.text and "<h1>Not" in answer.text


@pytest.mark.parametrize("path", [*PAGES, "/healthz", "/nowhere", "/static/vmjira.css"])
def test_every_answer_has_the_headers_that_keep_others_out(web: FlaskClient, path: str):
    headers = web.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "script-src" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert path.startswith("/static") or headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [*PAGES, "/healthz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_pages_are_only_to_look_at(web: FlaskClient, path: str, method: str):
    assert web.open(path, method=method).status_code == 405


def test_health_answers_without_a_database(web: FlaskClient):
    def broken() -> None:
        raise ConnectionError("no database")

    assert create_app(broken, lambda: None, browse_url="").test_client().get("/healthz").json == {"status": "ok"}
    assert web.get("/healthz").json == {"status": "ok"}


def test_pages_need_no_internet_and_run_nothing(weeks: World, web: FlaskClient):
    for path in OF_A_SCAN:
        page = web.get(path).text
        addresses = re.findall(r'(?:href|src|action)="([^"]+)"', page)
        assert all(each.startswith(("/", "#", f"{weeks.jira.url}/browse/")) for each in addresses)
        assert not re.search(r"<script|\son\w+=|\sstyle=", page)
