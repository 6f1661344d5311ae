"""The page: it opens without errors, has a cell for each that ran, and a failing cell opens to its log."""

from __future__ import annotations

import report

CONTRAST = """selector => {
    const rgb = text => text.match(/[\\d.]+/g).map(Number);
    const linear = v => v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
    const light = c => .2126 * linear(c[0]) + .7152 * linear(c[1]) + .0722 * linear(c[2]);
    const background = e => rgb(getComputedStyle(e).backgroundColor);
    const see_through = c => c.length > 3 && c[3] === 0;
    const element = document.querySelector(selector);
    let behind = element;
    while (behind.parentElement && see_through(background(behind))) behind = behind.parentElement;
    const both = [light(rgb(getComputedStyle(element).color)), light(background(behind))].sort((x, y) => y - x);
    return (both[0] + .05) / (both[1] + .05);
}"""


def contrast(page, selector):
    """Return the contrast ratio of an element's text, by WCAG 2."""
    return page.evaluate(CONTRAST, selector)


def test_it_opens_without_errors_and_has_every_section(folder, open_page):
    page = open_page(folder / "index.html")
    titles = page.locator("h2").all_inner_texts()
    for section in report.SECTIONS:
        assert any(title.startswith(section.title) for title in titles), section.title


def test_the_grid_has_a_cell_for_each_that_ran_told_by_word(folder, open_page, sample):
    page = open_page(folder / "index.html")
    shown = {link.get_attribute("data-cell"): link.inner_text() for link in page.locator(".grid a[data-cell]").all()}
    assert shown == {report.cell_id(cell): cell["verdict"] for cell in sample["cells"]}
    # Interop ran under one profile of the two.
    assert page.locator(".grid td > span.verdict").all_inner_texts() == ["not run"]


def test_each_verdict_has_a_colour_of_its_own(folder, open_page):
    for dark in (False, True):
        page = open_page(folder / "index.html", dark=dark)
        colours = page.evaluate(
            """() => ["passed", "failed", "skipped", "not-run"].map(word => {
                const verdict = document.querySelector(".grid .verdict");
                verdict.className = "verdict " + word;
                const style = getComputedStyle(verdict);
                return [style.color, style.backgroundColor];
            })"""
        )
        assert len({colour for colour, _ in colours}) == len({colour for _, colour in colours}) == 4, dark


def test_a_failing_cell_opens_to_its_log(folder, open_page, sample):
    page = open_page(folder / "index.html")
    failing = next(cell for cell in sample["cells"] if cell["verdict"] == "failed")
    log = page.locator(f"#{report.cell_id(failing)} pre.log")
    assert not log.is_visible()
    page.locator(f".grid a[data-cell={report.cell_id(failing)}]").click()
    log.wait_for(state="visible")
    assert log.inner_text() == failing["log_tail"]
    page.locator(f"#{report.cell_id(failing)} a[href='{failing['log']}']").click()
    assert "the whole log" in page.locator("body").inner_text()


def test_a_link_from_elsewhere_opens_its_cell(folder, open_page, sample):
    failing = next(cell for cell in sample["cells"] if cell["verdict"] == "failed")
    page = open_page(folder / "index.html", fragment="#" + report.cell_id(failing))
    page.locator(f"#{report.cell_id(failing)} pre.log").wait_for(state="visible")


def test_the_keyboard_reaches_the_log(folder, open_page, sample):
    page = open_page(folder / "index.html")
    failing = next(cell for cell in sample["cells"] if cell["verdict"] == "failed")
    page.locator(f".grid a[data-cell={report.cell_id(failing)}]").focus()
    page.keyboard.press("Enter")
    page.locator(f"#{report.cell_id(failing)} pre.log").wait_for(state="visible")
    # Everything that scrolls can be reached, and so scrolled, without a mouse.
    unreachable = page.evaluate(
        """() => [...document.querySelectorAll('.scroll, pre')].filter(e => e.tabIndex !== 0).length"""
    )
    assert unreachable == 0


def test_what_a_test_said_is_text_and_never_markup(folder, open_page):
    page = open_page(folder / "index.html")
    assert page.locator("failure").count() == 0
    assert "the <failure>" in page.content().replace("&lt;", "<").replace("&gt;", ">")


def test_a_phone_scrolls_tables_and_not_the_page(folder, open_page):
    page = open_page(folder / "index.html", width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_dark_mode_is_dark_and_can_be_read(folder, open_page):
    for dark in (False, True):
        page = open_page(folder / "index.html", dark=dark)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, background[4:-1].split(","))) < 200) is dark
        for selector in ("body p", ".grid .passed", ".grid .failed", ".grid .not-run", "nav a", ".grid small", "th"):
            assert contrast(page, selector) >= 4.5, (selector, dark)


def test_plots_take_the_pages_colours_and_have_their_numbers_under_them(folder, open_page):
    page = open_page(folder / "index.html", dark=True)
    figures = page.locator("#speed ~ figure")
    # Peers, single calls, by size, by distribution.
    assert figures.count() == 4
    for figure in figures.all():
        assert figure.locator("svg").is_visible()
        assert figure.evaluate("element => element.nextElementSibling.querySelectorAll('td').length") >= 4
    ours = page.locator("figure svg [style*='var(--s0)']").first
    assert ours.evaluate("element => getComputedStyle(element).stroke + getComputedStyle(element).fill").count(
        "88, 166, 255"
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_rules_are_told_by_function_a_column_a_distribution(folder, open_page):
    page = open_page(folder / "index.html")
    section = page.locator("section[aria-labelledby=rules]")
    assert section.locator("summary").all_inner_texts() == [
        "mq_open 1 held, 1 not held, 1 not testable",
        "mqueue_h 1 not run",
    ]
    rows = {
        row.locator("th").inner_text(): row.locator("td .verdict").all_text_contents()
        for row in section.locator("tbody tr").all()
        if row.locator("th").count() and row.is_visible()
    }
    assert rows["mq_open.1"] == ["held", "held"]
    assert rows["mq_open.2"] == ["not held", "not held"]
    assert rows["mq_open.3"] == ["not testable", "not testable"]


def test_faults_and_the_soak_are_told(folder, open_page):
    text = open_page(folder / "index.html").locator("section[aria-labelledby=faults]").inner_text()
    assert "123,456 messages" in text
    assert "a writer is killed" in text


def test_one_machine_is_a_report_of_one_cell(sample, tmp_path, open_page):
    sample["cells"] = sample["cells"][:1]
    sample["distros"] = {"debian-11": sample["distros"]["debian-11"]}
    sample["profiles"] = {"default": sample["profiles"]["default"]}
    del sample["rules"], sample["soak"]
    for python in sample["cells"][0]["jobs"]["tests"]["pythons"]:
        python["faults"] = []
    (tmp_path / "one.html").write_text(report.render(sample))
    page = open_page(tmp_path / "one.html")
    assert page.locator(".grid a[data-cell]").count() == 1
    assert page.locator("section[aria-labelledby=rules], section[aria-labelledby=faults]").count() == 0
