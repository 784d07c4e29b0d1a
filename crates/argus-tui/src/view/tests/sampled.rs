//! The stacks of programs that record nothing themselves.

use argus_model::record::ThreadState;
use argus_read::stored::StoredStack;

use super::*;

fn stack(tid: u32, thread: &str, at: f64, frames: &str) -> StoredStack {
    StoredStack {
        id: 1,
        at: second(at),
        run: producer(4711).into(),
        tid,
        thread: thread.into(),
        state: ThreadState::Idle,
        holds_gil: false,
        frames: frames.into(),
    }
}

/// A program that records nothing itself, sampled twice.
fn sampled() -> LiveState {
    let mut state = LiveState::default();
    let busy = StoredStack {
        state: ThreadState::Active,
        holds_gil: true,
        ..stack(
            4712,
            "pricing",
            11.9,
            "Shop.price (/app/shop.py:31)\nrun (/app/shop.py:40)",
        )
    };
    let waiting = stack(
        4711,
        "Main\u{1b}[2JThread",
        8.5,
        "wait (/app/shop.py:9)\n<module> (/app/shop.py:50)",
    );
    let plain = StoredRun {
        instrumented: false,
        ..run(4711, None)
    };
    let outside = OutsideChanges {
        samples: vec![sample(3)],
        runs: vec![plain],
        stacks: vec![waiting, busy, stack(4713, "native", 11.0, "")],
        ledger: None,
    };
    let changes = Changes {
        outside: Some(outside),
        ..Changes::default()
    };
    state.apply(changes, second(12.0));
    state
}

#[test]
fn sampled_stacks_are_marked_and_tell_their_age() {
    let mut shown = Shown::new(sampled());
    shown.size = (90, 14);
    assert_snapshot!(shown.picture(), @r"
     argus watch   /data/argus_runtime.db
     1 app · 1 process · no collector yet
    ┌ Live stack · 0 open ───────────────────────────────────────┐┌ shop 4711 ───────────────┐
    │▾ shop 4711  cpu 30.0 %  33.0 MiB  python3 shop.py          ││CPU     30.0 %            │
    │  ▾ Main[2JThread 4711  sampled, idle                 ~3.5 s││                          │
    │    ~ <module> (/app/shop.py:50)                            ││▄                         │
    │      ~ wait (/app/shop.py:9)                               ││Memory  33.0 MiB          │
    │  ▾ pricing 4712  sampled, active, GIL                ~0.1 s││█                         │
    │    ~ run (/app/shop.py:40)                                 ││█                         │
    │      ~ Shop.price (/app/shop.py:31)                        ││Threads 2                 │
    │    native 4713  sampled, idle                        ~1.0 s││█                         │
    │                                                            ││█                         │
    └────────────────────────────────────────────────────────────┘└──────────────────────────┘
     q quit  ? help  Space pause  ↑↓ move  ←→ fold  Tab pane  s sort: start  f show: all
    ");
    assert_eq!(shown.drawn.youngest, Some(Duration::from_millis(100)));
}

#[test]
fn a_sampled_thread_can_be_folded_and_is_selected_by_its_calls() {
    let mut shown = Shown::new(sampled());
    for code in [KeyCode::Down, KeyCode::Down, KeyCode::Left, KeyCode::Left] {
        shown.press(code);
    }
    let picture = shown.picture();
    assert!(
        picture.contains("▸ Main[2JThread 4711  sampled, idle  2 calls"),
        "{picture}"
    );
    assert!(!picture.contains("wait (/app/shop.py:9)"), "{picture}");
    assert!(picture.contains("~ Shop.price"), "{picture}");
    shown.press(KeyCode::Right);
    assert!(shown.picture().contains("~ wait (/app/shop.py:9)"));
}

#[test]
fn without_colours_sampled_stacks_are_marked_all_the_same() {
    let mut shown = Shown::new(sampled());
    shown.theme = Theme::plain();
    let picture = shown.picture();
    assert!(picture.contains("~ <module>") && picture.contains("sampled, active, GIL"));
}
