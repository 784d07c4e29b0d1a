//! Pictures of hand-built data at a fixed moment.

mod sampled;

use argus_model::{Measure, Measures, ProducerId, SpanKey, SpanNumber};
use argus_read::live::{Changes, LiveOptions, OutsideChanges};
use argus_read::stored::{
    CollectorState, Hold, ProducerLedger, Status, StoredOpenSpan, StoredRun, StoredSample,
    StoredSpan,
};
use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::*;

fn second(seconds: f64) -> Timestamp {
    Timestamp::from_nanos(1_000_000_000_000_000 + (seconds * 1e9) as i64)
}

fn producer(pid: u32) -> ProducerId {
    ProducerId {
        pid,
        ..ProducerId::default()
    }
}

fn open(number: u64, parent: u64, name: &str, started: f64) -> StoredOpenSpan {
    StoredOpenSpan {
        key: SpanKey {
            producer: producer(4711),
            number: SpanNumber(number),
        },
        parent: SpanNumber(parent),
        process: name.to_owned(),
        group: None,
        app_name: "shop".into(),
        pid: 4711,
        tid: 4711,
        thread: "MainThread".into(),
        started_at: second(started),
        captured: Some(r#"{"i":{"book":"'EURUSD'","depth":"10"}}"#.into()),
    }
}

fn ended(id: i64, name: &str, exception: Option<&str>) -> StoredSpan {
    StoredSpan {
        id,
        key: SpanKey {
            producer: producer(4711),
            number: SpanNumber(id.unsigned_abs() + 100),
        },
        parent: SpanNumber::NONE,
        process: name.to_owned(),
        group: None,
        app_name: "shop".into(),
        pid: 4711,
        tid: 4711,
        thread: "MainThread".into(),
        ended_at: second(id as f64),
        duration_ns: 1_234_567,
        status: match exception {
            None => Status::Ok,
            Some(_) => Status::Err,
        },
        captured: Some(r#"{"i":{"n":"3"}}"#.into()),
        exception: exception.map(str::to_owned),
        interrupted: false,
    }
}

fn run(pid: u32, end: Option<f64>) -> StoredRun {
    StoredRun {
        id: i64::from(pid),
        run: producer(pid).into(),
        app_name: if pid == 4711 { "shop" } else { "worker" }.into(),
        process_name: "python3".into(),
        command_line: "python3 shop.py".into(),
        hostname: "here".into(),
        instrumented: true,
        observer: false,
        started_at: second(f64::from(pid) / 10_000.0),
        ended_at: end.map(second),
        exit_code: end.map(|_| -9),
        parent: None,
    }
}

fn sample(index: u32) -> StoredSample {
    StoredSample {
        id: index.into(),
        at: second(f64::from(index)),
        app_name: "shop".into(),
        process_name: "python3".into(),
        pid: 4711,
        cpu_percent: f64::from(index) * 10.0,
        memory_mb: 30.0 + f64::from(index),
        threads: 2,
        measures: Measures::NONE,
    }
}

fn ledger(lost_normal: u64, lost_errors: u64) -> ProducerLedger {
    ProducerLedger {
        producer: ProducerId::default(),
        app_name: "shop".into(),
        pid: 4711,
        seen_at: second(0.0),
        ended_at: None,
        stored: 100,
        lost_normal,
        lost_errors,
        damaged: 0,
        unknown: 0,
    }
}

fn busy() -> LiveState {
    let failed = ended(
        9,
        "shop.price",
        Some("Traceback (most recent call last):\n  File \"shop.py\"\nValueError: no quote"),
    );
    let mut state = LiveState::default();
    state.apply(
        Changes {
            head: None,
            open: vec![
                open(1, 0, "shop.main", 0.0),
                open(2, 1, "shop.load", 9.5),
                open(3, 2, "shop.fetch", 9.75),
            ],
            ended: vec![ended(8, "shop.parse", None), failed.clone()],
            failed: vec![failed],
            collector: Some(CollectorState {
                pid: 812,
                heartbeat: second(11.8),
                backlog_bytes: 2_048,
                write_lag_ns: 3_400_000,
                held: None,
            }),
            outside: Some(OutsideChanges {
                samples: (1..=8).map(sample).collect(),
                runs: vec![run(4711, None), run(4712, Some(10.0))],
                stacks: Vec::new(),
                ledger: Some(vec![]),
            }),
        },
        second(12.0),
    );
    state
}

/// A view of a state at the twelfth second, and its last picture.
struct Shown {
    state: LiveState,
    view: View,
    theme: Theme,
    has_store: bool,
    size: (u16, u16),
    drawn: Drawn,
    buffer: Buffer,
}

impl Shown {
    fn new(state: LiveState) -> Self {
        Self {
            state,
            view: View::default(),
            theme: Theme::colored(),
            has_store: true,
            size: (100, 24),
            drawn: Drawn::default(),
            buffer: Buffer::default(),
        }
    }

    fn press(&mut self, code: KeyCode) -> Reaction {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        self.view.press(key, &self.state, second(12.0))
    }

    fn picture(&mut self) -> String {
        let scene = Scene {
            state: &self.state,
            now: second(12.0),
            zone: &TimeZone::UTC,
            database: Path::new("/data/argus_runtime.db"),
            pid: None,
            has_store: self.has_store,
            problem: None,
        };
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).unwrap();
        let (view, theme) = (&mut self.view, &self.theme);
        let mut drawn = Drawn::default();
        terminal
            .draw(|frame| drawn = view.draw(frame, &scene, theme))
            .unwrap();
        self.drawn = drawn;
        self.buffer = terminal.backend().buffer().clone();
        let lines = self.buffer.content.chunks(usize::from(self.size.0).max(1));
        let lines = lines.map(|cells| {
            // The second cell of a wide character holds a space that is not on the screen.
            let mut line = String::new();
            let mut skip = 0;
            for cell in cells {
                if skip == 0 {
                    line.push_str(cell.symbol());
                    skip = ratatui::text::Span::raw(cell.symbol()).width();
                }
                skip = skip.saturating_sub(1);
            }
            line.trim_end().to_owned() + "\n"
        });
        lines.collect()
    }
}

#[test]
fn an_empty_store_says_what_to_do() {
    let mut shown = Shown::new(LiveState::default());
    shown.size = (80, 14);
    assert_snapshot!(shown.picture(), @r"
    argus watch   /data/argus_runtime.db
    0 apps · 0 processes · no collector yet

     Nothing is running under Argus at this moment.

     Start one in another terminal:

       argus run -- python app.py    a program, from its start
       argus gaze --pid 4711         a process that runs already
       @argus.monitor                before a function, in Python

     It will appear here by itself.

    q quit  ? help  Space pause  ↑↓ move  ←→ fold  Tab pane  s sort: start  f show:
    ");
}

#[test]
fn a_missing_store_is_waited_for() {
    let mut shown = Shown::new(LiveState::default());
    shown.has_store = false;
    let picture = shown.picture();
    assert!(picture.contains("Nothing recorded yet at /data/argus_runtime.db"));
    assert!(picture.contains("argus run -- python app.py"));
}

#[test]
fn open_spans_vitals_and_activity_stand_side_by_side() {
    assert_snapshot!(Shown::new(busy()).picture(), @r"
     argus watch   /data/argus_runtime.db
     2 apps · 2 processes · collector 812: wrote 0.2 s ago, backlog 2.00 KiB, lag 3.40 ms
    ┌ Live stack · 3 open ─────────────────────────────────────────────────┐┌ shop 4711 ───────────────┐
    │▾ shop 4711  cpu 80.0 %  38.0 MiB  python3 shop.py                    ││CPU     80.0 %            │
    │  ▾ MainThread 4711                                                   ││       ▃                  │
    │    ▾ shop.main(book='EURUSD', depth=10)                          12 s││   ▁▄▆██                  │
    │      ▾ shop.load(book='EURUSD', depth=10)                       2.5 s││▂▄▇█████                  │
    │          shop.fetch(book='EURUSD', depth=10)                    2.2 s││Memory  38.0 MiB          │
    │  worker 4712  killed by signal 9  python3 shop.py                    ││▅▅▅▆▆▇▇█                  │
    │                                                                      ││████████                  │
    │                                                                      ││Threads 2                 │
    │                                                                      ││████████                  │
    │                                                                      ││████████                  │
    │                                                                      ││████████                  │
    └──────────────────────────────────────────────────────────────────────┘└──────────────────────────┘
    ┌ Recent activity ─────────────────────────────────────────────────────────────────────────────────┐
    │TIME         PROCESS                                 DURATION ST  EXCEPTION                       │
    │13:46:49.000 shop.price(n=3)                          1.23 ms ERR ValueError: no quote            │
    │13:46:48.000 shop.parse(n=3)                          1.23 ms OK                                  │
    │                                                                                                  │
    │                                                                                                  │
    │                                                                                                  │
    └──────────────────────────────────────────────────────────────────────────────────────────────────┘
     q quit  ? help  Space pause  ↑↓ move  ←→ fold  Tab pane  s sort: start  f show: all
    ");
}

#[test]
fn what_is_measured_besides_stands_below_the_curves() {
    let mut sample = sample(9);
    sample.measures.set(Measure::DiskReadRate, 2_048.0);
    sample.measures.set(Measure::NetworkSendRate, 0.0);
    let samples = vec![sample];
    let outside = OutsideChanges {
        samples,
        ..OutsideChanges::default()
    };
    let mut state = busy();
    let changes = Changes {
        outside: Some(outside),
        ..Changes::default()
    };
    state.apply(changes, second(12.0));
    let picture = Shown::new(state).picture();
    for line in [
        "Read     2.00 KiB/s",
        "Written  –",
        "Received –",
        "Sent     0 B/s",
    ] {
        assert!(picture.contains(line), "{picture}");
    }
}

#[test]
fn losses_stand_red_in_the_header() {
    let mut state = busy();
    let outside = OutsideChanges {
        ledger: Some(vec![ledger(10, 2)]),
        ..OutsideChanges::default()
    };
    let changes = Changes {
        outside: Some(outside),
        ..Changes::default()
    };
    state.apply(changes, second(12.0));
    let mut shown = Shown::new(state);
    let picture = shown.picture();
    let line = picture.lines().nth(2).unwrap();
    assert_eq!(
        line,
        " LOST 12 records: 10 found no room, 2 errors found no room"
    );
    assert_eq!(shown.buffer[(1, 2)].fg, Color::Red);
}

#[test]
fn a_silent_collector_is_marked() {
    let mut state = busy();
    let changes = Changes {
        collector: Some(CollectorState {
            pid: 812,
            heartbeat: second(2.0),
            ..CollectorState::default()
        }),
        ..Changes::default()
    };
    state.apply(changes, second(12.0));
    let mut shown = Shown::new(state);
    let picture = shown.picture();
    let line = picture.lines().nth(1).unwrap();
    let expected = " 2 apps · 2 processes · collector 812 has been silent for 10 s";
    assert_eq!(line, expected);
    assert_eq!(shown.buffer[(40, 1)].fg, Color::Yellow);
}

#[test]
fn a_reader_in_the_way_is_named() {
    for (reader, expected) in [(Some(4_711), "reader 4711"), (None, "a reader")] {
        let mut state = busy();
        let changes = Changes {
            collector: Some(CollectorState {
                pid: 812,
                heartbeat: second(2.0),
                held: Some(Hold {
                    since: second(1.0),
                    reader,
                }),
                ..CollectorState::default()
            }),
            ..Changes::default()
        };
        state.apply(changes, second(12.0));
        let mut shown = Shown::new(state);
        let picture = shown.picture();
        let line = picture.lines().nth(1).unwrap();
        let expected =
            format!(" 2 apps · 2 processes · collector 812: held back by {expected} for 11 s");
        assert_eq!(line, expected);
        assert_eq!(shown.buffer[(40, 1)].fg, Color::Yellow);
    }
}

#[test]
fn a_pause_is_marked_and_ends() {
    let mut shown = Shown::new(busy());
    assert_eq!(shown.press(KeyCode::Char(' ')), Reaction::Redraw);
    assert_eq!(shown.view.paused_at(), Some(second(12.0)));
    assert!(shown.picture().contains("argus watch  PAUSED"));
    shown.press(KeyCode::Char('p'));
    assert!(!shown.picture().contains("PAUSED"));
}

#[test]
fn help_lies_over_the_screen() {
    let mut shown = Shown::new(busy());
    shown.press(KeyCode::Char('?'));
    assert_snapshot!(shown.picture(), @r"
     argus watch   /data/argus_runtime.db
     2 apps · 2 processes · collector 812: wrote 0.2 s ago, backlog 2.00 KiB, lag 3.40 ms
    ┌ Live stack · 3 open ─────────────────────────────────────────────────┐┌ shop 4711 ───────────────┐
    │▾ shop 4711  cpu 80.0 %  38.0 MiB  python3 shop.py                    ││CPU     80.0 %            │
    │  ▾ MainThread 4711                                                   ││       ▃                  │
    │    ▾ shop.main(book='EURUSD', depth=10)                          12 s││   ▁▄▆██                  │
    │      ▾ shop.load(book='EU┌ Keys ──────────────────────────────────────┐▂▄▇█████                  │
    │          shop.fetch(book=│ ↑ ↓  j k      move                         │Memory  38.0 MiB          │
    │  worker 4712  killed by s│ ← → Enter     fold and unfold              │▅▅▅▆▆▇▇█                  │
    │                          │ PgUp PgDn g G by page, to the ends         │████████                  │
    │                          │ Tab           other pane                   │Threads 2                 │
    │                          │ Space  p      pause, go on                 │████████                  │
    │                          │ s             sort by start, cpu, memory   │████████                  │
    │                          │ f             show all, active, error      │████████                  │
    └──────────────────────────│ ?  h          this help                    │──────────────────────────┘
    ┌ Recent activity ─────────│ q  Esc        quit                         │──────────────────────────┐
    │TIME         PROCESS      └────────────────────────────────────────────┘ION                       │
    │13:46:49.000 shop.price(n=3)                          1.23 ms ERR ValueError: no quote            │
    │13:46:48.000 shop.parse(n=3)                          1.23 ms OK                                  │
    │                                                                                                  │
    │                                                                                                  │
    │                                                                                                  │
    └──────────────────────────────────────────────────────────────────────────────────────────────────┘
     q quit  ? help  Space pause  ↑↓ move  ←→ fold  Tab pane  s sort: start  f show: all
    ");
    assert_eq!(shown.press(KeyCode::Esc), Reaction::Redraw);
    assert_eq!(shown.press(KeyCode::Esc), Reaction::Quit);
}

#[test]
fn folding_hides_what_is_below_and_counts_it() {
    let mut shown = Shown::new(busy());
    for code in [KeyCode::Down, KeyCode::Down, KeyCode::Left] {
        shown.press(code);
    }
    let picture = shown.picture();
    assert!(picture.contains("▸ shop.main  +2"), "{picture}");
    assert!(!picture.contains("shop.load"));
    shown.press(KeyCode::Enter);
    assert!(shown.picture().contains("shop.load"));
    // From a leaf, left goes to what it belongs to.
    shown.press(KeyCode::Down);
    shown.press(KeyCode::Down);
    shown.press(KeyCode::Left);
    shown.press(KeyCode::Left);
    assert!(shown.picture().contains("▸ shop.load  +1"));
}

#[test]
fn the_selection_of_an_ended_span_goes_to_its_thread() {
    let mut shown = Shown::new(busy());
    for _ in 0..4 {
        shown.press(KeyCode::Down);
    }
    let changes = Changes {
        open: vec![open(1, 0, "shop.main", 0.0)],
        ..Changes::default()
    };
    shown.state.apply(changes, second(12.0));
    let rows = shown.view.rows(&shown.state);
    assert_eq!(shown.view.position(&shown.state, &rows), Some(1));
}

#[test]
fn keys_filter_sort_and_switch_panes() {
    let mut shown = Shown::new(busy());
    shown.press(KeyCode::Char('f'));
    let picture = shown.picture();
    assert!(picture.contains("show: active") && !picture.contains("worker 4712"));
    shown.press(KeyCode::Char('f'));
    let picture = shown.picture();
    assert!(picture.contains("Recent errors") && !picture.contains("shop.parse"));
    shown.press(KeyCode::Char('s'));
    assert!(shown.picture().contains("sort: cpu"));
    shown.press(KeyCode::Tab);
    assert_eq!(shown.press(KeyCode::Left), Reaction::Ignore);
    assert_eq!(shown.press(KeyCode::Char('q')), Reaction::Quit);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    let reaction = shown.view.press(control_c, &shown.state, second(0.0));
    assert_eq!(reaction, Reaction::Quit);
}

#[test]
fn a_narrow_terminal_shows_the_stack() {
    let mut shown = Shown::new(busy());
    shown.size = (40, 10);
    assert_snapshot!(shown.picture(), @r"
     argus watch   /data/argus_runtime.db
     2 apps · 2 processes · collector 812: …
    ┌ Live stack · 3 open ─────────────────┐
    │▾ shop 4711  cpu 80.0 %  38.…         │
    │  ▾ MainThread 4711                   │
    │    ▾ shop.main(book='EURUS…)     12 s│
    │      ▾ shop.load(book='EUR…)    2.5 s│
    │          shop.fetch(book='…)    2.2 s│
    └──────────────────────────────────────┘
     q quit  ? help  Space pause  ↑↓ move  ←
    ");
}

#[test]
fn no_size_panics() {
    for width in (0..20).chain([40, 71, 72, 73, 200]) {
        for height in (0..16).chain([40]) {
            for state in [busy(), LiveState::default()] {
                let mut shown = Shown::new(state);
                shown.size = (width, height);
                shown.picture();
                for code in [KeyCode::Char('?'), KeyCode::Tab, KeyCode::End] {
                    shown.press(code);
                    shown.picture();
                }
            }
        }
    }
}

#[test]
fn hostile_and_wide_names_stay_in_their_cells() {
    let mut state = LiveState::default();
    let mut long = open(1, 0, &"x".repeat(1_000_000), 1.0);
    long.app_name = "店\n\u{7}".into();
    let mut wide = open(2, 1, &"日本語".repeat(100), 2.0);
    wide.thread = "\u{1b}[31mred\u{202e}".into();
    let changes = Changes {
        open: vec![long, wide],
        ended: vec![ended(1, &"語".repeat(300), Some("\u{1b}c\u{9b}boom"))],
        ..Changes::default()
    };
    state.apply(changes, second(12.0));
    let mut shown = Shown::new(state);
    shown.size = (80, 16);
    let picture = shown.picture();
    let harmful = |c: char| c.is_control() && c != '\n';
    assert!(!picture.contains(harmful));
    assert_snapshot!(picture, @r"
     argus watch   /data/argus_runtime.db
     1 app · 1 process · no collector yet
    ┌ Live stack · 2 open ─────────────────────────────┐┌ 店  4711 ────────────────┐
    │▾ 店  4711                                        ││no samples yet            │
    │  ▾ [31mred 4711                                  ││                          │
    │    ▾ xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…     11 s││                          │
    │        日本語日本語日本語日本語日本語日…     10 s││                          │
    │                                                  ││                          │
    │                                                  ││                          │
    └──────────────────────────────────────────────────┘└──────────────────────────┘
    ┌ Recent activity ─────────────────────────────────────────────────────────────┐
    │TIME         PROCESS                   DURATION ST  EXCEPTION                 │
    │13:46:41.000 語語語語語語語語語語語語…  1.23 ms ERR cboom                     │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
     q quit  ? help  Space pause  ↑↓ move  ←→ fold  Tab pane  s sort: start  f show:
    ");
}

#[test]
fn only_visible_rows_are_formatted() {
    let mut state = LiveState::default();
    let spans = (1..=10_000_u32).map(|number| {
        let parent = if number % 100 == 1 { 0 } else { number - 1 };
        open(number.into(), parent.into(), "shop.call", 1.0)
    });
    let changes = Changes {
        open: spans.collect(),
        ..Changes::default()
    };
    state.apply(changes, second(12.0));
    assert_eq!(state.open_spans(), 10_000);
    let mut shown = Shown::new(state);
    shown.picture();
    assert_eq!(shown.drawn.formatted, shown.view.stack_height);
    assert!(shown.drawn.formatted < 24);
    shown.press(KeyCode::End);
    let picture = shown.picture();
    assert_eq!(shown.drawn.formatted, shown.view.stack_height);
    assert_eq!(shown.view.stack_top, 10_002 - shown.view.stack_height);
    assert!(picture.contains("11 s"));
}

#[test]
fn without_colour_nothing_is_coloured() {
    let mut shown = Shown::new(busy());
    shown.theme = Theme::plain();
    shown.picture();
    let colored =
        |cell: &&ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
    assert_eq!(shown.buffer.content.iter().filter(colored).count(), 0);
}

#[test]
fn the_youngest_time_on_the_screen_is_reported() {
    let mut shown = Shown::new(busy());
    shown.picture();
    assert_eq!(shown.drawn.youngest, Some(Duration::from_millis(2_250)));
    let none = LiveState::new(LiveOptions::default());
    let mut empty = Shown::new(none);
    empty.picture();
    assert_eq!(empty.drawn.youngest, None);
}
