"""Wiki markup: what is rendered, and that nothing gets through as HTML."""

from __future__ import annotations

import re
import time

import pytest

from vmjira.sandbox.wiki import Surroundings, render

AROUND = Surroundings(
    files={"own.csv": "/table/1", "chart.png": "/picture/2"},
    person=lambda name: "Jira Admin" if name == "admin" else None,
    ticket=lambda key: f"/browse/{key}" if key.startswith("VM-") else None,
)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("h2. Hosts at *Scan 23*", "<h2>Hosts at <strong>Scan 23</strong></h2>"),
        ("*bold* and _italic_", "<p><strong>bold</strong> and <em>italic</em></p>"),
        ("a_b_c 5 * 3 * 2 a-b-c", "<p>a_b_c 5 * 3 * 2 a-b-c</p>"),
        ("one\ntwo \\\\ three", "<p>one<br>two <br> three</p>"),
        ("* a\n** b\n* c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("# a\n# b", "<ol><li>a</li><li>b</li></ol>"),
        ("- a", "<ul><li>a</li></ul>"),
        ("see [^own.csv]", "<p>see <a class='file' href='/table/1'>own.csv</a></p>"),
        ("see [^gone.csv]", "<p>see [^gone.csv]</p>"),
        (
            "!chart.png|width=640!",
            "<p><a href='/picture/2'><img src='/picture/2' alt='chart.png' width='640'></a></p>",
        ),
        ("VM-7, AB-1", "<p><a href='/browse/VM-7'>VM-7</a>, AB-1</p>"),
        ("[~admin] [~nobody]", "<p><span class='person'>@Jira Admin</span> [~nobody]</p>"),
        (
            "[page|https://x.example/?a=1&b=2]",
            "<p><a href='https://x.example/?a=1&amp;b=2' rel='noreferrer'>page</a></p>",
        ),
        ("{color:red}hot{color}", "<p><span class='color-red'>hot</span></p>"),
        ("{{a *b*}}", "<p><code>a *b*</code></p>"),
        ("{noformat}\n*a* <b>\n{noformat}", "<pre>*a* &lt;b&gt;</pre>"),
        ("{noformat}never closed", "<p>{noformat}never closed</p>"),
        ("C:\\Windows\\temp", "<p>C:\\Windows\\temp</p>"),
    ],
)
def test_markup_is_rendered(text, html):
    assert str(render(text, AROUND)) == html


def test_tables_keep_bars_that_belong_to_a_cell():
    html = str(render("||Host||Link||\n|a\\|b|[x|https://x.example]|\n|*c*||", AROUND))
    assert "<tr><th>Host</th><th>Link</th></tr>" in html
    assert "<tr><td>a|b</td><td><a href='https://x.example' rel='noreferrer'>x</a></td></tr>" in html


def test_a_hostile_host_that_is_escaped_shows_as_itself():
    text = r"|\{color:red\}\*x\*\|\[\~admin\]\!chart.png\!|10.1.2.4|"
    assert "<td>{color:red}*x*|[~admin]!chart.png!</td><td>10.1.2.4</td>" in str(render(text, AROUND))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x|javascript:alert(1)]",
        "[javascript:alert(1)]",
        "[x|https://a.example' onclick='alert(1)]",
        "!chart.png|width=1' onerror='alert(1)!",
        "{color:red' onclick='alert(1)}x{color}",
        "{panel:title=<img src=x onerror=alert(1)>}\nx\n{panel}",
        "&#60;script&#62;alert(1)&#60;/script&#62;",
        "{noformat}\n</pre><script>alert(1)</script>\n{noformat}",
    ],
)
def test_nothing_gets_through_as_html(text):
    html = str(render(text, AROUND))
    tags = re.findall(r"<[^>]*>", html)
    assert not [tag for tag in tags if re.search(r"script|on\w+=|javascript", re.sub(r"'[^']*'", "", tag))]
    assert "href='javascript" not in html


@pytest.mark.parametrize("piece", ["*a ", "{color:red}", "{{", "[", "!a", "\\", "|", "* ", "_a", "[a|"])
def test_a_hostile_text_takes_no_time(piece):
    begun = time.perf_counter()
    render(piece * (32_767 // len(piece)), AROUND)
    assert time.perf_counter() - begun < 5
