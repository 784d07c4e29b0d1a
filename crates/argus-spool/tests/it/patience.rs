//! Who can wait leaves room to those who cannot.

use argus_model::record::Fields;
use argus_model::{Kind, NameKind, NameText, Record};
use argus_spool::control::ControlPage;
use argus_spool::{Appended, Offered, define, offer, place};

use super::roles::{Home, emit, metric, run};

const BUDGET: u64 = 64 << 20;

/// Offers until there is no room, and then emits.
pub(crate) fn host() {
    let name = metric();
    assert_eq!(emit(name, 0.0), Appended::Accepted);
    let control = ControlPage::open(&place::from_environment().unwrap().control()).unwrap();
    control.set_budget(BUDGET);
    let offered = define(NameText::plain(NameKind::Metric, "patient"));
    let mut accepted = 0_u64;
    let last = loop {
        let taken = offer(Kind::Metric, &[offered], |out, at| {
            Record::Metric {
                subject: 0,
                name: offered.number(),
                at,
                value: 1.0,
                unit: "1",
                attributes: Fields::default(),
            }
            .encode(out)
        });
        if taken != Offered::Accepted {
            break taken;
        }
        accepted += 1;
    };
    assert_eq!(last, Offered::NoRoom);
    assert!(accepted > 10_000, "{accepted}");
    let (allocated, budget) = control.usage();
    assert_eq!(budget, BUDGET);
    assert!(allocated <= BUDGET / 4, "{allocated}");
    for value in 0..100_000 {
        assert_eq!(emit(name, f64::from(value)), Appended::Accepted);
    }
    assert_eq!(argus_spool::stats().lost_normal, 0);
}

#[test]
fn what_can_wait_takes_a_part_of_the_room_only() {
    let home = Home::new("patience");
    run("patience", &home.0);
}
