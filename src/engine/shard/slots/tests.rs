//! Tests of the slots without an epoll or threads.

use super::*;

#[derive(Debug, Default)]
struct Fake {
    name: &'static str,
    eof: bool,
    busy: bool,
    endless: bool,
}

impl Suspendable for Fake {
    fn note_ready(&mut self, _since: Instant) {}

    fn note_eof(&mut self) {
        self.eof = true;
    }

    fn is_idle(&self) -> bool {
        !self.busy
    }

    fn is_endless(&self) -> bool {
        self.endless
    }
}

fn fake(name: &'static str) -> Box<Fake> {
    Box::new(Fake {
        name,
        ..Fake::default()
    })
}

fn busy(name: &'static str) -> Box<Fake> {
    let mut connection = fake(name);
    connection.busy = true;
    connection
}

fn waits_for(wait: Wait) -> Suspend {
    Suspend {
        wait,
        until: None,
        seen: Phase::Running,
    }
}

fn input_until(until: Instant) -> Suspend {
    Suspend {
        until: Some(until),
        ..waits_for(Wait::Input)
    }
}

const INPUT: Changes = Changes {
    input: true,
    room: false,
    closed: false,
    woken: false,
};

/// Suspends a new connection in a new slot.
fn suspended(slots: &mut Slots<Fake>, connection: Box<Fake>, suspend: Suspend) -> usize {
    let index = slots.insert();
    let suspended = slots.suspend(index, connection, suspend);
    assert!(matches!(suspended, SlotSuspended::Yes(_)), "{suspended:?}");
    index
}

fn names(connections: &[Box<Fake>]) -> Vec<&'static str> {
    connections
        .iter()
        .map(|connection| connection.name)
        .collect()
}

/// The connections that a poll at this time finds ready without an event.
fn ready(slots: &mut Slots<Fake>, now: Instant) -> Vec<&'static str> {
    let mut ready = Vec::new();
    while let Some(connection) = slots.take_due(now) {
        ready.push(connection);
    }
    slots.scan(now, |connection| ready.push(connection));
    names(&ready)
}

/// Each wait with each change, and whether the change satisfies the wait.
fn waits_and_changes() -> Vec<(Wait, Changes, bool)> {
    let none = Changes::default();
    let input = Changes {
        input: true,
        ..none
    };
    let room = Changes { room: true, ..none };
    let closed = Changes {
        closed: true,
        ..none
    };
    let woken = Changes {
        woken: true,
        ..none
    };
    vec![
        (Wait::Input, input, true),
        (Wait::Input, room, false),
        (Wait::Input, closed, false),
        (Wait::Input, woken, false),
        (Wait::Room, input, false),
        (Wait::Room, room, true),
        (Wait::Room, closed, false),
        (Wait::Room, woken, false),
        (Wait::Wake, input, false),
        (Wait::Wake, room, false),
        (Wait::Wake, closed, true),
        (Wait::Wake, woken, true),
    ]
}

#[test]
fn a_change_while_away_hands_back_the_connection_that_waits_for_it_and_no_other() {
    for (wait, change, satisfies) in waits_and_changes() {
        let mut slots = Slots::new();
        let index = slots.insert();
        assert!(slots.change(index, change).is_none());
        if change.woken {
            assert!(!slots.wake(index), "the connection is away");
        }
        let suspended = slots.suspend(index, fake("a"), waits_for(wait));
        match suspended {
            SlotSuspended::Ready(connection) => {
                assert!(satisfies, "{wait:?}, {change:?}");
                assert_eq!(connection.eof, change.closed);
                // The change is reported once.
                let again = slots.suspend(index, connection, waits_for(wait));
                assert!(
                    matches!(again, SlotSuspended::Yes(_)),
                    "{wait:?}, {change:?}"
                );
            }
            SlotSuspended::Yes(is_first) => {
                assert!(!satisfies && !is_first, "{wait:?}, {change:?}");
            }
            SlotSuspended::Refused(_) => panic!("the slots are open"),
        }
    }
}

#[test]
fn a_change_while_suspended_readies_the_connection_that_waits_for_it_and_no_other() {
    for (wait, change, satisfies) in waits_and_changes() {
        let mut slots = Slots::new();
        let index = suspended(&mut slots, fake("a"), waits_for(wait));
        let ready = slots.change(index, change);
        assert_eq!(ready.is_some(), satisfies, "{wait:?}, {change:?}");
        if let Some(connection) = ready {
            assert_eq!(connection.eof, change.closed);
            assert!(slots.change(index, change).is_none(), "it is away now");
        } else if change.closed {
            let mut taken = Vec::new();
            taken.extend(slots.close());
            assert!(taken[0].eof, "the connection knows of the EOF");
        }
    }
}

#[test]
fn several_changes_while_away_add_up() {
    let mut slots = Slots::new();
    let index = slots.insert();
    let room = Changes {
        room: true,
        ..Changes::default()
    };
    slots.change(index, INPUT);
    slots.change(index, room);
    let suspended = slots.suspend(index, fake("a"), waits_for(Wait::Input));
    assert!(matches!(suspended, SlotSuspended::Ready(_)));
}

#[test]
fn an_event_of_a_slot_that_is_vacant_or_does_not_exist_readies_nothing() {
    let mut slots: Slots<Fake> = Slots::new();
    assert!(slots.change(0, INPUT).is_none());
    let index = slots.insert();
    slots.remove(index);
    assert!(slots.change(index, INPUT).is_none());
    assert!(!slots.wake(index));
    // The event does not reach the slot's next connection.
    let reused = suspended(&mut slots, fake("next"), waits_for(Wait::Input));
    assert_eq!(reused, index);
    assert!(ready(&mut slots, Instant::now()).is_empty());
}

#[test]
fn a_waker_readies_a_connection_once_whatever_it_waits_for() {
    let mut slots = Slots::new();
    let index = suspended(&mut slots, fake("a"), waits_for(Wait::Room));
    assert!(slots.wake(index) && slots.wake(index));
    assert!(slots.has_woken());
    assert_eq!(ready(&mut slots, Instant::now()), ["a"]);
    assert!(!slots.has_woken());
}

#[test]
fn connections_are_woken_in_the_order_of_their_wakers_calls() {
    let mut slots = Slots::new();
    let indices =
        ["a", "b", "c"].map(|name| suspended(&mut slots, busy(name), waits_for(Wait::Wake)));
    for index in [1, 0, 2, 0] {
        assert!(slots.wake(indices[index]));
    }
    assert_eq!(ready(&mut slots, Instant::now()), ["b", "a", "c"]);
}

#[test]
fn a_connection_that_an_event_took_first_is_not_woken_again() {
    let mut slots = Slots::new();
    let index = suspended(&mut slots, fake("a"), waits_for(Wait::Input));
    assert!(slots.wake(index));
    assert!(slots.change(index, INPUT).is_some());
    assert!(ready(&mut slots, Instant::now()).is_empty());
}

#[test]
fn connections_that_wait_for_a_turn_are_ready_in_the_order_in_which_they_were_suspended() {
    let mut slots = Slots::new();
    for name in ["a", "b", "c"] {
        let put_off = slots.put_off(fake(name), waits_for(Wait::Turn));
        assert!(matches!(put_off, SlotSuspended::Yes(true)));
    }
    assert!(slots.has_woken());
    assert_eq!(ready(&mut slots, Instant::now()), ["a", "b", "c"]);
}

#[test]
fn connections_that_wait_for_a_time_are_ready_then_and_not_before() {
    let mut slots = Slots::new();
    let now = Instant::now();
    let due = |millis| now + Duration::from_millis(millis);
    for (name, millis, is_first) in [("a", 5, true), ("b", 6, false)] {
        let suspend = Suspend {
            until: Some(due(millis)),
            ..waits_for(Wait::Time)
        };
        match slots.put_off(fake(name), suspend) {
            SlotSuspended::Yes(first) => assert_eq!(first, is_first),
            other => panic!("{other:?}"),
        }
    }
    assert!(!slots.has_woken());
    assert_eq!(slots.next_time(), Some(due(5)));
    assert!(ready(&mut slots, due(4)).is_empty());
    assert_eq!(ready(&mut slots, due(5)), ["a"]);
    assert_eq!(ready(&mut slots, due(7)), ["b"]);
    assert_eq!(slots.next_time(), None);
}

#[test]
fn connections_are_ready_when_their_deadlines_have_passed() {
    let mut slots = Slots::new();
    let now = Instant::now();
    let at = |millis| now + Duration::from_millis(millis);
    assert_eq!(slots.scan_due(), None);
    for (name, millis, is_first) in [("b", 200, true), ("a", 100, true), ("c", 300, false)] {
        let index = slots.insert();
        match slots.suspend(index, fake(name), input_until(at(millis))) {
            SlotSuspended::Yes(first) => assert_eq!(first, is_first, "{name}"),
            other => panic!("{other:?}"),
        }
    }
    suspended(&mut slots, fake("d"), waits_for(Wait::Input));
    assert_eq!(slots.scan_due(), Some(at(100)));
    assert!(ready(&mut slots, at(99)).is_empty());
    assert_eq!(ready(&mut slots, at(100)), ["a"]);
    assert_eq!(slots.scan_due(), Some(at(200)));
    assert_eq!(ready(&mut slots, at(300)), ["b", "c"]);
    assert_eq!(slots.scan_due(), None, "no deadline is left");
}

#[test]
fn deadlines_are_looked_for_at_most_once_in_ten_milliseconds() {
    let mut slots = Slots::new();
    let now = Instant::now() + SCAN_EVERY;
    suspended(&mut slots, fake("a"), input_until(now));
    assert_eq!(ready(&mut slots, now), ["a"]);
    suspended(&mut slots, fake("b"), input_until(now));
    assert_eq!(slots.scan_due(), Some(now + SCAN_EVERY));
    assert!(ready(&mut slots, now + SCAN_EVERY / 2).is_empty());
    assert_eq!(ready(&mut slots, now + SCAN_EVERY), ["b"]);
}

#[test]
fn when_the_drain_begins_the_last_call_is_the_deadline_of_idle_connections() {
    let mut slots = Slots::new();
    let now = Instant::now();
    let last_call_ends = now + Duration::from_secs(10);
    suspended(&mut slots, fake("idle"), waits_for(Wait::Input));
    let sooner = now + Duration::from_secs(5);
    suspended(&mut slots, fake("sooner"), input_until(sooner));
    let later = last_call_ends + Duration::from_secs(1);
    suspended(&mut slots, fake("later"), input_until(later));
    suspended(&mut slots, busy("busy"), waits_for(Wait::Input));
    let mut endless = busy("endless");
    endless.endless = true;
    suspended(&mut slots, endless, waits_for(Wait::Wake));

    slots.announce(Phase::Draining, last_call_ends);
    assert_eq!(ready(&mut slots, now), ["endless"]);
    assert_eq!(ready(&mut slots, sooner), ["sooner"]);
    assert_eq!(ready(&mut slots, last_call_ends), ["idle", "later"]);
    assert!(ready(&mut slots, later).is_empty());
}

#[test]
fn at_an_abort_every_connection_has_a_turn() {
    let mut slots = Slots::new();
    for wait in [Wait::Input, Wait::Room, Wait::Wake] {
        suspended(&mut slots, busy("busy"), waits_for(wait));
        suspended(&mut slots, fake("idle"), waits_for(wait));
    }
    let now = Instant::now();
    slots.announce(Phase::Aborting, now);
    assert_eq!(ready(&mut slots, now).len(), 6);
}

#[test]
fn a_connection_that_decided_in_an_earlier_phase_has_another_turn() {
    let mut slots = Slots::new();
    let index = slots.insert();
    slots.announce(Phase::Draining, Instant::now());
    let suspended = slots.suspend(index, fake("a"), waits_for(Wait::Input));
    let SlotSuspended::Ready(connection) = suspended else {
        panic!("it does not see the drain");
    };
    let suspend = Suspend {
        seen: Phase::Draining,
        ..waits_for(Wait::Input)
    };
    let suspended = slots.suspend(index, connection, suspend);
    assert!(matches!(suspended, SlotSuspended::Yes(_)));
}

#[test]
fn closed_slots_return_every_connection_and_refuse_further_ones() {
    let mut slots = Slots::new();
    let due = Instant::now() + Duration::from_secs(1);
    suspended(&mut slots, fake("suspended"), waits_for(Wait::Input));
    let away = slots.insert();
    slots.put_off(fake("turn"), waits_for(Wait::Turn));
    let time = Suspend {
        until: Some(due),
        ..waits_for(Wait::Time)
    };
    slots.put_off(fake("time"), time);

    let mut taken = Vec::new();
    taken.extend(slots.close());
    assert_eq!(names(&taken), ["suspended", "turn", "time"]);
    assert!(ready(&mut slots, due).is_empty());

    let refused = slots.suspend(away, fake("away"), waits_for(Wait::Input));
    assert!(matches!(refused, SlotSuspended::Refused(_)));
    for suspend in [waits_for(Wait::Turn), time] {
        let refused = slots.put_off(fake("late"), suspend);
        assert!(matches!(refused, SlotSuspended::Refused(_)));
    }
}
