//! Children of every kind, each with a spool of its own: nothing of them is lost, nothing doubled,
//! nothing of the parent is disturbed.

use super::bed::{Bed, Guarded, until};
use super::host::{OWN_CODE, SAID};
use super::ledger::{Ledger, Said};
use super::rounds;

const EACH: u32 = 20;

#[test]
fn children_of_every_kind_are_recorded_whole() {
    let (bed, children) = (Bed::new(), rounds(400));
    let _collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let said = bed.path("said");
    let mut host = bed.host(&format!("children:{children}:{EACH}"));
    let status = host.env(SAID, &said).status().unwrap();
    assert_eq!(status.code(), Some(OWN_CODE));
    until("all deaths are stored", || {
        bed.number("SELECT count(*) FROM producers WHERE ended_at_ns IS NULL") == 0
            && bed.number("SELECT count(*) FROM producers") == i64::from(children) + 1
    });
    let ledger = Ledger::of_lanes(&bed, Said::read(&said));
    ledger.settle(&format!("fork, {children} children"));
    assert_eq!(
        ledger.stored,
        u64::from(children) * u64::from(EACH + 1),
        "every child was heard"
    );
    until("spools are removed", || bed.spools() == 0);
}
