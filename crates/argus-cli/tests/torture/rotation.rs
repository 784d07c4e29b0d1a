//! Log files rotated ten times a second, two thousand lines a second written to them, and a gaze that is
//! killed at random moments and started again with `--from resume`: every line is stored once, whole, and
//! in order.
//!
//! Where a torture itself puts lines out of reach (a file removed while no gaze runs), the store must say
//! so with `log_gap` events, and hold everything else.
//!
//! A storm lasts [`scene::TIME`], and is repeated with other seeds in the long form, which chooses the moments of the
//! kills and the kinds of rotation. A tool that is not installed is said and left out.

mod account;
mod outage;
mod scene;
mod tools;
mod watch;

use super::rounds;
use account::Losses;
use scene::{Rotation, Scene};
use watch::{Kills, Watch};

/// So many storms of one kind.
fn storms(name: &str, kinds: &[Rotation], kills: Kills, losses: Losses<'_>) {
    for seed in 1..=u64::from(rounds(1)) {
        let mut watch = Watch::start();
        let mut scene = Scene::new(watch.path(), seed);
        if kinds == [Rotation::Link] {
            scene.become_link();
        }
        watch.until_it_follows();
        let written = watch.through(seed, kills, || scene.storm(kinds));
        let account = watch.settle(written, 0);
        account.balance(&format!("rotation, {name}, seed {seed}"), losses);
    }
}

#[test]
fn renamed_and_made_anew() {
    storms("rename", &[Rotation::Rename], Kills::Random, Losses::None);
}

#[test]
fn renamed_while_the_writer_stays_with_the_old_file() {
    storms(
        "rename under the writer",
        &[Rotation::Linger],
        Kills::Random,
        Losses::None,
    );
}

#[test]
fn copied_and_emptied() {
    storms(
        "copytruncate",
        &[Rotation::Copy],
        Kills::Random,
        Losses::None,
    );
}

/// What is removed while nobody looks is gone for good: no kills. On a machine that is busy enough
/// files may come and go unseen all the same, and that must be told.
#[test]
fn removed_and_made_anew() {
    storms(
        "remove",
        &[Rotation::Remove],
        Kills::None,
        Losses::ToldByFile,
    );
}

#[test]
fn a_symbolic_link_turned() {
    storms("link", &[Rotation::Link], Kills::None, Losses::None);
}

/// What the link led to between two gazes stands beside the file that is read.
#[test]
fn a_symbolic_link_turned_while_gaze_dies() {
    let kinds = [Rotation::Link];
    storms("link, with kills", &kinds, Kills::Random, Losses::None);
}

#[test]
fn everything_in_random_order() {
    let kinds = [Rotation::Rename, Rotation::Linger, Rotation::Copy];
    storms("mixed", &kinds, Kills::Random, Losses::None);
}
