//! Parents in other programs: told by the spans below them, and inherited through a fork.

use argus_model::record::OutcomeHead;
use argus_model::trace::{TraceContext, span_number, trace_root};
use argus_model::{NameKind, NameText, ProducerId, Record, SpanNumber};
use argus_spool::{Current, Definition, Thread, Weight, define, remote, span_end, span_start};

use super::roles::{Home, run};
use super::spool::{all_producers, read_all};

const GIVEN: TraceContext = TraceContext {
    trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
    span: 0xb7ad_6b71_6920_3331,
    recorded: true,
};

fn open(name: &'static Definition, at: Current) -> Current {
    let number = span_start(name, at, |_| Ok(()));
    assert_ne!(number, SpanNumber::NONE);
    at.child(number)
}

fn close(place: Current) {
    span_end(
        place.number(),
        OutcomeHead::default(),
        Weight::Normal,
        |_| Ok(()),
    );
}

/// Opens spans below a foreign parent and below none, and forks inside of one.
pub(crate) fn host() {
    let name = define(NameText::plain(NameKind::Span, "work"));
    let below = remote::below(GIVEN);
    assert_eq!(remote::context_of(below), Some(GIVEN));
    let outer = open(name, below);
    let inner = open(name, outer);
    let told = remote::context_of(inner).unwrap();
    assert_eq!(told.trace, GIVEN.trace, "the trace goes on");
    close(inner);
    close(outer);

    assert_eq!(remote::context_of(Current::NONE), None);
    assert_eq!(remote::context_of(Current::unsampled()), None);
    let unrecorded = TraceContext {
        recorded: false,
        ..GIVEN
    };
    assert!(!remote::below(unrecorded).is_recorded());

    let root = open(name, Current::NONE);
    let inside = open(name, root);
    Thread::mine().replace(inside);
    // SAFETY: the child opens a span and leaves; no other thread runs here.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let here = Thread::mine().current();
        assert!(here.is_remote() && !here.begins_a_trace());
        assert_eq!(here, Thread::mine().current(), "it is found once");
        close(open(name, here));
        // SAFETY: leaves at once.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(status, 0);
    close(inside);
    close(root);
}

/// The spans of a producer, parents before their children, and what they say of parents elsewhere.
type Spans = (
    Vec<(SpanNumber, SpanNumber)>,
    Vec<(SpanNumber, TraceContext)>,
);

fn spans(id: ProducerId, directory: &std::path::Path) -> Spans {
    let (mut spans, mut remote) = (Vec::new(), Vec::new());
    read_all(id, directory, &mut |_, record| match record {
        Record::SpanStart { number, parent, .. } => spans.push((number, parent)),
        Record::RemoteParent {
            number,
            trace,
            parent,
        } => {
            let context = TraceContext {
                trace: u128::from_be_bytes(trace),
                span: parent,
                recorded: true,
            };
            remote.push((number, context));
        }
        _ => {}
    });
    (spans, remote)
}

#[test]
fn parents_elsewhere_are_told_and_inherited() {
    let home = Home::new("remote");
    run("remote", &home.0);
    let mut found: Vec<_> = all_producers(&home.0)
        .into_iter()
        .map(|(id, directory)| (id, spans(id, &directory)))
        .collect();
    found.sort_by_key(|(_, (spans, _))| std::cmp::Reverse(spans.len()));
    let [(parent, (ours, given)), (_, (childs, inherited))] = &found[..] else {
        panic!("{found:?}");
    };
    let [(outer, none), (_, inner_of), (root, _), (inside, inside_of)] = ours[..] else {
        panic!("{ours:?}");
    };
    assert!(none.is_none());
    assert_eq!((inner_of, inside_of), (outer, root));
    assert_eq!(given[..], [(outer, GIVEN)], "only the outermost says it");

    let (number, context) = inherited[0];
    assert_eq!(childs[..], [(number, SpanNumber::NONE)]);
    assert_eq!(span_number(parent.nonce, context.span), inside);
    assert_eq!(trace_root(context.trace), (parent.nonce, root));
}

#[test]
fn the_oldest_context_is_forgotten_first() {
    let context = |span| TraceContext {
        trace: 7,
        span,
        recorded: true,
    };
    let first = remote::below(context(1));
    assert_eq!(remote::below(context(1)), first, "the same parent again");
    for span in 2..=20_000 {
        let place = remote::below(context(span));
        assert_eq!(remote::context_of(place), Some(context(span)));
    }
    assert_eq!(remote::context_of(first), None);
}
