// SPDX-License-Identifier: GPL-2.0
//! The page of a matrix as a real browser has it: what it looks like, that it asks for nothing, how
//! soon it is there, on paper, without scripts, and by keyboard.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use kernel::machine::programs::{self, Program, program};
use libtest_mimic::Trial;
use matrix::history::RunRecord;
use matrix::plan::CellId;
use matrix::results::ResultsDir;
use matrix::summary::CellState;
use report::Report;
use report::process::Cmd;
use xtask::repository;

use crate::matrix_sample::SampleMatrix;
use crate::suite::{Suite, run, scratch, tool};

/// The browser.
const CHROMIUM: &[Program] = &[program("chromium", "chromium", "shows pages to tests")];

/// What reads what was printed.
const POPPLER: &[Program] = &[program("pdftotext", "poppler-utils", "reads what a page prints")];

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("page::it_is_seen_in_light_in_dark_and_on_a_small_screen", seen),
        suite.trial("page::a_browser_asks_for_nothing_else", asks_for_nothing),
        suite.trial("page::without_scripts_all_of_it_is_there", without_scripts),
        suite.trial("page::two_thousand_cells_are_there_within_a_second", two_thousand_cells),
        suite.trial("page::on_paper_all_that_failed_is_told", on_paper),
        suite.trial("page::the_keyboard_reaches_all_in_the_order_of_the_page", keyboard),
        suite.trial("page::a_filter_and_arrow_keys_do_what_they_say", script),
        suite.trial("page::the_command_writes_every_report", reports),
    ]
}

/// A browser of a trial's own, and its pages.
struct Browser {
    _dir: tempfile::TempDir,
    dir: Utf8PathBuf,
}

impl Browser {
    fn new(suite: &Suite) -> Self {
        programs::ensure(suite.context(), &[CHROMIUM]).unwrap();
        let (guard, dir) = scratch();
        Self { _dir: guard, dir }
    }

    /// Writes a page.
    fn page(&self, name: &str, text: &str) -> Utf8PathBuf {
        let file = self.dir.join(name);
        fs_err::write(&file, text).unwrap();
        file
    }

    /// What the browser prints when it has shown a page.
    fn show(&self, page: &Utf8Path, args: &[&str]) -> String {
        let usual = [
            "--headless",
            // Root has no sandbox there; the page is our own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
        ];
        let cmd =
            Cmd::new("chromium").args(usual).arg(format!("--user-data-dir={}", self.dir.join("profile")));
        let cmd = cmd.args(args).arg(format!("file://{page}")).env("HOME", &self.dir);
        cmd.limit(Duration::from_secs(120)).read(&Report::silent()).unwrap()
    }

    /// From now on it runs none.
    fn without_scripts(&self) {
        let preferences = self.dir.join("profile/Default/Preferences");
        let text = fs_err::read_to_string(&preferences).unwrap_or_else(|_| "{}".to_owned());
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["profile"]["default_content_setting_values"]["javascript"] = 2.into();
        fs_err::create_dir_all(preferences.parent().unwrap()).unwrap();
        fs_err::write(&preferences, value.to_string()).unwrap();
    }

    /// The document as it is when `script` has run in it, once it is read. The page's own policy is
    /// taken out of it, as that would not let the script run. A frame whose document is open holds
    /// back the load event, and so the end of the browser, until the script is done.
    fn asked(&self, text: &str, script: &str) -> String {
        let script = format!(
            "<script>{{ const hold = document.createElement('iframe'); document.body.append(hold); \
             hold.contentDocument.open(); document.addEventListener('DOMContentLoaded', async () => {{ \
             const of = document.documentElement.dataset; try {{ {script} }} catch (e) {{ of.error = e; }} \
             hold.contentDocument.close(); }}); }}</script></body>"
        );
        let text = without_policy(text).replace("</body>", &script);
        self.show(&self.page("asked.html", &text), &["--dump-dom"])
    }
}

fn without_policy(text: &str) -> String {
    let (before, rest) = text.split_once("<meta http-equiv").unwrap();
    let (_, after) = rest.split_once('>').unwrap();
    format!("{before}{after}")
}

/// What a script has left in the document as `data-NAME`.
fn said<'a>(dom: &'a str, name: &str) -> &'a str {
    let found = dom.split_once(&format!(" data-{name}=\"")).and_then(|(_, rest)| rest.split_once('"'));
    let said = || dom.get(..400).unwrap_or_default();
    found.unwrap_or_else(|| panic!("the script said no {name}: {}", said())).0
}

/// The page of a matrix with this many lines in each log, and with two earlier runs.
fn page_of(matrix: &SampleMatrix, lines: usize) -> String {
    let (_dir, dir) = scratch();
    let results = ResultsDir::create(&dir).unwrap();
    matrix.write(&results, lines);
    let summary = matrix.summary();
    let shown = RunRecord::of(&summary, 1_795_853_400);
    let mut before = RunRecord { began: shown.began - 86_400, ..shown.clone() };
    let mut cells: Vec<_> = before.cells.values_mut().collect();
    let last = cells.len() - 1;
    for (at, state, words) in [(0, CellState::Passed, "passed"), (last, CellState::Failed, "insmod oops")] {
        (cells[at].state, cells[at].words) = (state, words.to_owned());
    }
    before.cells.pop_first();
    let oldest = RunRecord { began: before.began - 86_400, ..before.clone() };
    matrix::page::html(&summary, &results, &[shown, before, oldest]).unwrap()
}

/// Pictures for whoever changes the page, and that none of them is empty.
fn seen(suite: &Suite) {
    let browser = Browser::new(suite);
    let kept = repository().join("target/page");
    fs_err::create_dir_all(&kept).unwrap();
    let text = page_of(&SampleMatrix::every_state(), 1000);
    let opened = text.replacen("<details", "<details open", 3);
    let (before, after) = opened.split_once("<div class=\"kernel\"").unwrap();
    let opened = format!("{before}<div class=\"kernel\"{}", after.replacen("<details", "<details open", 1));
    let large = page_of(&SampleMatrix::of_size(100, 20, 40), 50);
    fs_err::write(kept.join("matrix.html"), &text).unwrap();
    fs_err::write(kept.join("large.html"), &large).unwrap();
    let large = large.replace("</head>", "<style>header, #failed, #changed { display: none }</style></head>");
    for (name, text, size, dark) in [
        ("light.png", &text, "1440,2600", false),
        ("dark.png", &text, "1440,2600", true),
        ("small.png", &text, "500,1800", false),
        ("cell.png", &opened, "1440,3600", true),
        ("large.png", &large, "1440,1200", false),
    ] {
        let (file, page) = (kept.join(name), browser.page("seen.html", text));
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        let args = [format!("--window-size={size}"), scheme, format!("--screenshot={file}")];
        browser.show(&page, &args.each_ref().map(String::as_str));
        let bytes = fs_err::read(&file).unwrap();
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{file}");
        eprintln!("{file}");
    }
    // They are two schemes.
    assert_ne!(fs_err::read(kept.join("light.png")).unwrap(), fs_err::read(kept.join("dark.png")).unwrap());
}

/// What was asked of a proxy: the first line of each request.
fn asked_of_proxy(browser: &Browser, page: &Utf8Path) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("--proxy-server=http://{}", listener.local_addr().unwrap());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut buffer = [0; 512];
            let length = stream.read(&mut buffer).unwrap_or_default();
            let text = String::from_utf8_lossy(&buffer[..length]);
            heard.lock().unwrap().push(text.lines().next().unwrap_or_default().to_owned());
        }
    });
    browser.show(page, &[&proxy, "--proxy-bypass-list=<-loopback>", "--dump-dom", "--timeout=1000"]);
    let lines = lines.lock().unwrap();
    lines.clone()
}

/// What a page fetches, as it knows itself.
const FETCHED: &str = "
await new Promise((done) => setTimeout(done, 500));
of.fetched = performance.getEntriesByType('resource').map((it) => it.name).join(' ');";

fn asks_for_nothing(suite: &Suite) {
    let browser = Browser::new(suite);
    let text = page_of(&SampleMatrix::every_state(), 100);
    let asks = |text: &str| text.replace("</body>", "<img src=\"http://matrix.invalid/x.png\"></body>");
    assert_eq!(said(&browser.asked(&text, FETCHED), "fetched"), "");
    // That it would be seen.
    assert!(said(&browser.asked(&asks(&text), FETCHED), "fetched").contains("matrix.invalid"));
    // Should something come to be in it that asks, the page's policy keeps the browser from it.
    // What a browser asks for by itself is not the page's.
    let reached = |name, text: &str| {
        let lines = asked_of_proxy(&browser, &browser.page(name, text));
        lines.iter().any(|line| line.contains("matrix.invalid"))
    };
    assert!(reached("other.html", &asks("<body></body>")), "a request would not be seen");
    assert!(!reached("matrix.html", &asks(&text)), "the policy let the page ask");
}

fn without_scripts(suite: &Suite) {
    let browser = Browser::new(suite);
    let matrix = SampleMatrix::every_state();
    let page = browser.page("matrix.html", &page_of(&matrix, 100));
    let with = browser.show(&page, &["--dump-dom"]);
    browser.without_scripts();
    let dom = browser.show(&page, &["--dump-dom"]);
    assert!(dom.contains("id=\"find\" hidden"), "the script ran");
    assert!(!with.contains("id=\"find\" hidden"), "the page's policy does not let its script run");
    assert!(!with.contains("<title>taken over"), "a console's script ran");
    for cell in &matrix.plan.cells {
        assert!(dom.contains(&format!("id=\"c-{}\"", cell.id)), "{}", cell.title());
    }
    // A link into what is folded opens it.
    let cell = format!("c-{}", matrix.plan.cells[0].id);
    let led = browser.show(&Utf8PathBuf::from(format!("{page}#{cell}")), &["--dump-dom"]);
    let (before, _) = led.split_once(&format!("id=\"{cell}\"")).unwrap();
    assert!(before.rsplit_once("<details").unwrap().1.starts_with(" class=\"cell\" open"), "it stays folded");
    // What is folded is there to be opened: whatever is not shown is so by the browser's own means.
    let shown = shown_text(&Browser::new(suite), &page_of(&matrix, 100));
    for words in ["KASAN: slab-out-of-bounds", "guard/check.c:118", "needs folios of 6.16", "Kernel panic"] {
        assert!(shown.contains(words), "{words}");
    }
}

/// The text of a page whose parts are all opened, as it is rendered.
fn shown_text(browser: &Browser, text: &str) -> String {
    let opened = text.replace("<details", "<details open");
    said(&browser.asked(&opened, "of.text = document.body.innerText;"), "text").to_owned()
}

/// Measures in the browser itself, from the beginning of the navigation: until the page is read and
/// laid out, and until the first frame after that.
const MEASURE: &str = "
document.body.offsetHeight;
of.laid = Math.round(performance.now());
await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
of.frame = Math.round(performance.now());
const paint = performance.getEntriesByName('first-contentful-paint')[0];
of.paint = paint ? Math.round(paint.startTime) : -1;
of.nodes = document.querySelectorAll('*').length;";

/// So often is it measured; and so often, at most, while none of the times is short enough: other
/// trials run at the same time.
const TIMES: (usize, usize) = (4, 12);

fn two_thousand_cells(suite: &Suite) {
    let browser = Browser::new(suite);
    let matrix = SampleMatrix::of_size(100, 20, 40);
    assert_eq!(matrix.plan.cells.len(), 2000);
    let text = page_of(&matrix, 2000);
    let mut times: Vec<i64> = Vec::new();
    let quick = |times: &[i64]| times.iter().any(|time| *time < 1000);
    while times.len() < TIMES.0 || (!quick(&times) && times.len() < TIMES.1) {
        times.push(measured(&browser, "2,000 cells, 50 of which failed", &text));
    }
    measured(&browser, "empty page", "<!DOCTYPE html><meta http-equiv=x><body>x</body>");
    // Nobody looks at such a page for long; it is to be one that can be looked at.
    let all = page_of(&SampleMatrix::of_size(100, 20, 1), 2000);
    measured(&browser, "2,000 cells, all of which failed", &all);
    assert!(quick(&times), "{times:?}");
    assert!(text.len().max(all.len()) < 16 << 20, "{}, {}", text.len(), all.len());
}

/// Milliseconds until the page was there.
fn measured(browser: &Browser, what: &str, text: &str) -> i64 {
    let dom = browser.asked(text, MEASURE);
    let number = |name| said(&dom, name).parse::<i64>().unwrap();
    let size = report::size(text.len() as u64);
    eprintln!(
        "{what}, {size}, {} elements: first paint at {} ms, laid out at {} ms, the frame after at {} ms",
        number("nodes"),
        number("paint"),
        number("laid"),
        number("frame"),
    );
    number("frame")
}

fn on_paper(suite: &Suite) {
    let browser = Browser::new(suite);
    let matrix = SampleMatrix::every_state();
    let page = browser.page("matrix.html", &page_of(&matrix, 1000));
    let kept = repository().join("target/page");
    fs_err::create_dir_all(&kept).unwrap();
    let file = kept.join("matrix.pdf");
    browser.show(&page, &[&format!("--print-to-pdf={file}"), "--no-pdf-header-footer"]);
    eprintln!("{file}");
    assert!(fs_err::read(&file).unwrap().starts_with(b"%PDF"));
    if let Err(error) = programs::ensure(suite.context(), &[POPPLER]) {
        eprintln!("what is on the paper is not looked at: {error:#}");
        return;
    }
    let text = Cmd::new("pdftotext").args(["-layout", file.as_str(), "-"]).read(&Report::silent()).unwrap();
    let words: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let squeezed: String = words.split(' ').collect();
    for judged in matrix.summary().cells.iter().filter(|cell| !cell.state.is_good()) {
        let title = judged.cell.title().replace(' ', "");
        assert!(squeezed.contains(&title), "{title} is not on paper:\n{text}");
        let reason = judged.reason().unwrap().replace(' ', "");
        assert!(squeezed.contains(&reason), "{reason} is not on paper:\n{text}");
    }
    // What is folded on a screen is not on paper, but for logs.
    assert!(words.contains("guard/check.c:118") && !words.contains("of many"), "{text}");
}

/// Whether what can have the focus can be reached in the order of the document, is seen, and has a
/// name.
const FOCUS: &str = "
const all = [...document.querySelectorAll('a[href], summary, input, [tabindex]:not(section)')];
const reached = all.filter((it) => it.tabIndex === 0);
const later = [...document.querySelectorAll('*')].filter((it) => it.tabIndex > 0);
const nameless = all.filter((it) => !(it.textContent.trim() || it.ariaLabel || (it.labels && it.labels[0])));
const lost = all.filter((it) => {
  it.focus({ focusVisible: true });
  return document.activeElement !== it && it.checkVisibility({ contentVisibilityAuto: false });
});
const dead = [...document.querySelectorAll('a[href]')]
  .filter((it) => !document.getElementById(it.getAttribute('href').slice(1)));
const links = [...document.querySelectorAll('table.matrix td a')].filter((it) => it.tabIndex === 0);
const first = document.querySelector('table.matrix td a');
first.focus({ focusVisible: true });
const outline = getComputedStyle(first).outlineStyle;
of.all = all.length; of.reached = reached.length; of.later = later.length; of.dead = dead.length;
of.nameless = nameless.length; of.lost = lost.length; of.links = links.length; of.outline = outline;";

fn keyboard(suite: &Suite) {
    let browser = Browser::new(suite);
    let matrix = SampleMatrix::every_state();
    let dom = browser.asked(&page_of(&matrix, 100), FOCUS);
    let number = |name| said(&dom, name).parse::<usize>().unwrap();
    assert_eq!(number("all"), number("reached"));
    assert!(number("all") > 48 * 2, "{}", number("all"));
    assert_eq!(number("links"), matrix.plan.cells.len());
    for none in ["later", "nameless", "lost", "dead"] {
        assert_eq!(number(none), 0, "{none}");
    }
    assert_eq!(said(&dom, "outline"), "solid");
}

/// What the page's own script adds: a link opens what it leads to, words leave rows and columns,
/// arrow keys move.
const USED: &str = "
const shown = () => [...document.querySelectorAll('table.matrix tr')].map((row) =>
  [...row.cells].filter((cell) => cell.checkVisibility()).length);
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
const links = [...document.querySelectorAll('table.matrix td a')];
links[0].focus();
['ArrowRight', 'ArrowDown', 'ArrowDown', 'ArrowLeft', 'ArrowUp'].forEach(press);
of.focused = document.activeElement.getAttribute('href').slice(3);
const input = document.querySelector('#find input');
const type = (text) => { input.value = text; input.dispatchEvent(new Event('input')); return shown(); };
const rows = (counts) => counts.slice(1).filter((count) => count > 0).length;
of.kernels = rows(type('sanitize'));
of.columns = Math.max(...type('TRACER'));
of.none = rows(type('no such'));
of.again = rows(type(''));
document.getElementById('only').click();
of.only = rows(shown());
links[7].click();
await new Promise((done) => setTimeout(done, 200));
of.opened = document.querySelector(links[7].getAttribute('href')).closest('details').open;";

fn script(suite: &Suite) {
    let browser = Browser::new(suite);
    let matrix = SampleMatrix::every_state();
    let dom = browser.asked(&page_of(&matrix, 100), USED);
    let focused: &CellId = &matrix.plan.cells[4].id;
    assert_eq!(said(&dom, "focused"), focused.as_str());
    let counts = ["kernels", "columns", "none", "again", "only"].map(|name| said(&dom, name));
    assert_eq!(counts, ["2", "2", "0", "12", "8"]);
    assert_eq!(said(&dom, "opened"), "true");
}

/// As a user has them written, from a directory of results that was recorded twice.
fn reports(_: &Suite) {
    let (_dir, dir) = scratch();
    let results = ResultsDir::create(&dir.join("results")).unwrap();
    let matrix = SampleMatrix::every_state();
    matrix.write(&results, 20);
    for began in [1_795_767_000, 1_795_853_400] {
        matrix::history::record(&results, &matrix.summary(), began).unwrap();
    }
    let report = |args: &[&str]| {
        let (status, text) = run(&tool(args).args(["matrix", "report", "--results"]).arg(results.dir()));
        assert_eq!(status, 0, "{text}");
        text
    };
    let read = |name: &str| fs_err::read_to_string(dir.join(name)).unwrap();
    let cmd = tool(&["matrix", "report", "--results"]).arg(results.dir()).cwd(&dir);
    let (status, text) = run(&cmd.args(["--html", "page.html", "--junit", "junit.xml", "--markdown", "-"]));
    assert_eq!(status, 0, "{text}");
    // Markdown on standard output, and the table on the other one.
    assert!(text.contains("| kernel | guard |") && text.contains("✗ insmod oops"), "{text}");
    assert!(text.contains("  again: cargo kmod insmod --project /srv/modules/guard"), "{text}");
    assert!(read("page.html").contains("Nothing changed since the run of 2026-11-27 08:10 UTC"));
    assert!(read("junit.xml").contains("<testsuite name=\"7.2.13+deb14-cloud-amd64\""));
    let document: serde_json::Value = serde_json::from_str(&report(&["--json"])).unwrap();
    assert_eq!(document["counts"]["failed"], 5);
    // A record that is half-written is passed over, and said.
    fs_err::write(results.history().join("001795900000-0.json"), "{\"began\": 17959").unwrap();
    assert!(report(&[]).contains("is no whole record of a run"));
}
