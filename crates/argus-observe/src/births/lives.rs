//! The lives that events tell of and nobody has looked at yet, in the order of their births.

use std::collections::{HashMap, VecDeque};

use argus_model::Monotonic;

use super::connector::Event;

/// How many ends are remembered.
const MOST_ENDS: usize = 4096;

/// A process, from what the kernel reported of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) pid: u32,
    /// Who made it, where that was reported.
    pub(super) maker: Option<u32>,
    /// When it was made, where that was reported.
    pub(super) at: Option<Monotonic>,
    /// Whether it has become another program since.
    pub(super) executed: bool,
    /// When and with which wait status it ended.
    pub(super) end: Option<(Monotonic, i32)>,
    /// A process that began before this, in ticks since boot, is another one with its id.
    pub(super) not_before: u64,
}

impl Life {
    /// One of which only the id is known.
    pub(super) fn of(pid: u32) -> Self {
        Self {
            pid,
            maker: None,
            at: None,
            executed: false,
            end: None,
            not_before: 0,
        }
    }
}

/// A queue of lives, into which later events are worked as long as they wait.
#[derive(Debug, Default)]
pub(super) struct Lives {
    waiting: VecDeque<Life>,
    /// Where the latest life with an id stands, counted from the first that ever waited.
    places: HashMap<u32, usize>,
    taken: usize,
    /// Those that became another program and were looked at before.
    executed: Vec<u32>,
    /// Those that ended and were looked at before.
    ended: Vec<(u32, Monotonic, i32)>,
    /// The last ends of all, oldest first.
    ends: VecDeque<(u32, Monotonic, i32)>,
}

impl Lives {
    /// Works an event in.
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Fork { pid, parent, at } => self.push(Life {
                maker: Some(parent),
                at: Some(at),
                ..Life::of(pid)
            }),
            Event::Exec { pid } => match self.waiting(pid) {
                Some(life) => life.executed = true,
                None => self.executed.push(pid),
            },
            Event::Exit {
                pid,
                wait_status,
                at,
            } => {
                if self.ends.len() >= MOST_ENDS {
                    self.ends.pop_front();
                }
                self.ends.push_back((pid, at, wait_status));
                match self.waiting(pid) {
                    Some(life) => life.end = Some((at, wait_status)),
                    None => self.ended.push((pid, at, wait_status)),
                }
            }
        }
    }

    /// Lets one more wait.
    pub(super) fn push(&mut self, life: Life) {
        self.places
            .insert(life.pid, self.taken + self.waiting.len());
        self.waiting.push_back(life);
    }

    /// The next to look at.
    pub(super) fn take(&mut self) -> Option<Life> {
        let life = self.waiting.pop_front()?;
        if self.places.get(&life.pid) == Some(&self.taken) {
            self.places.remove(&life.pid);
        }
        self.taken += 1;
        Some(life)
    }

    /// Whether a later life has this id, so that this one is over.
    pub(super) fn is_taken_over(&self, pid: u32) -> bool {
        self.places.contains_key(&pid)
    }

    /// Those looked at before that became another program.
    pub(super) fn take_executed(&mut self) -> Vec<u32> {
        let mut executed = std::mem::take(&mut self.executed);
        executed.sort_unstable();
        executed.dedup();
        executed
    }

    /// Those looked at before that have ended.
    pub(super) fn take_ended(&mut self) -> Vec<(u32, Monotonic, i32)> {
        std::mem::take(&mut self.ended)
    }

    /// The last wait status that was reported of this id after a moment.
    pub(super) fn end_after(&self, pid: u32, born: Monotonic) -> Option<i32> {
        let mut ends = self.ends.iter().rev();
        let (_, at, status) = ends.find(|(id, ..)| *id == pid)?;
        (*at >= born).then_some(*status)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn waiting(&mut self, pid: u32) -> Option<&mut Life> {
        let place = self.places.get(&pid)?.checked_sub(self.taken)?;
        self.waiting.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Monotonic {
        Monotonic::from_nanos(nanos)
    }

    fn fork(pid: u32, parent: u32, nanos: u64) -> Event {
        Event::Fork {
            pid,
            parent,
            at: at(nanos),
        }
    }

    fn exit(pid: u32, code: i32, nanos: u64) -> Event {
        Event::Exit {
            pid,
            wait_status: code << 8,
            at: at(nanos),
        }
    }

    #[test]
    fn an_id_used_twice_is_two_lives_each_with_its_own_end() {
        let mut lives = Lives::default();
        let events = [
            fork(7, 1, 10),
            exit(7, 3, 20),
            fork(7, 2, 30),
            Event::Exec { pid: 7 },
        ];
        events.into_iter().for_each(|event| lives.hear(event));
        let first = lives.take().unwrap();
        assert_eq!((first.maker, first.executed), (Some(1), false));
        assert_eq!(first.end, Some((at(20), 3 << 8)));
        assert!(lives.is_taken_over(7));
        let second = lives.take().unwrap();
        assert_eq!((second.maker, second.executed), (Some(2), true));
        assert_eq!(second.end, None);
        assert!(!lives.is_taken_over(7));
    }

    #[test]
    fn events_of_those_that_do_not_wait_are_told_apart() {
        let mut lives = Lives::default();
        lives.hear(fork(5, 1, 1));
        lives.take();
        lives.hear(Event::Exec { pid: 5 });
        lives.hear(Event::Exec { pid: 5 });
        lives.hear(exit(5, 1, 9));
        assert_eq!(lives.take_executed(), [5]);
        assert_eq!(lives.take_ended(), [(5, at(9), 1 << 8)]);
        assert_eq!(lives.take_ended(), []);
        assert_eq!(lives.len(), 0);
    }

    #[test]
    fn the_last_ends_are_remembered_and_belong_to_those_born_before() {
        let mut lives = Lives::default();
        lives.hear(exit(5, 1, 100));
        assert_eq!(lives.end_after(5, at(90)), Some(1 << 8));
        assert_eq!(lives.end_after(5, at(110)), None, "of an earlier one");
        for pid in 10..10 + 4096 {
            lives.hear(exit(pid, 0, 200));
        }
        assert_eq!(lives.end_after(5, at(90)), None, "forgotten");
        assert_eq!(lives.end_after(4000, at(90)), Some(0));
    }
}
