//! Who has a seat, who loses it, and who gets it then.

use super::*;

/// On this thread, which does not rest: there is a seat.
fn sit(seats: &Seats) -> Seated<'_> {
    seats.sit(&Sitter::new()).unwrap()
}

#[test]
fn everyone_who_sits_has_a_seat_of_their_own() {
    let seats = Seats::new(2);
    let (one, other) = (sit(&seats), sit(&seats));
    assert_ne!(one.number(), other.number());
    drop(one);
    assert_eq!(sit(&seats).number(), 0);
}

#[test]
fn a_seat_is_lost_to_who_takes_it_and_not_before() {
    let seats = Seats::new(1);
    let mut held_up = sit(&seats);
    held_up.serve();
    let mut in_time = None;
    held_up.call(|| in_time = Some(seats.offer(0, seats.last_step(0))));
    assert_eq!(in_time, Some(true));
    assert!(held_up.served(), "nobody has taken it");

    held_up.serve();
    let taken = held_up.call(|| {
        seats.offer(0, seats.last_step(0));
        sit(&seats)
    });
    assert!(!held_up.served());
    drop(held_up);
    assert_eq!(taken.step.state(), State::Looking, "it is another's");
}

#[test]
fn who_has_made_a_step_is_not_held_up() {
    let seats = Seats::new(1);
    let mut seat = sit(&seats);
    seat.serve();
    let seen = seats.last_step(0);
    assert!(seat.served());
    seat.serve();
    assert!(!seats.offer(0, seen), "it serves another one");
}

#[test]
fn after_a_slow_call_seats_are_offered_before_the_call() {
    let seats = Seats::new(1);
    let mut seat = sit(&seats);
    let offered = |seat: &mut Seated<'_>| {
        seat.serve();
        let state = seat.call(|| seats.last_step(0).state());
        assert!(seat.served());
        state == State::Offered
    };
    assert!(!offered(&mut seat));
    seat.serve();
    seat.call(|| seats.offer(0, seats.last_step(0)));
    assert!(seat.served());
    let calls = (0..10 * CALLS_EXPECTED_SLOW).map(|_| offered(&mut seat));
    let slow = calls.filter(|&offered| offered).count();
    // More only if this thread had no core during one of them.
    assert!(slow >= CALLS_EXPECTED_SLOW as usize);
    assert!(!offered(&mut seat) || slow > CALLS_EXPECTED_SLOW as usize);
}

#[test]
fn who_rests_is_called_to_a_seat_that_is_free() {
    let seats = Seats::new(1);
    let seat = sit(&seats);
    thread::scope(|scope| {
        let rests = scope.spawn(|| seats.sit(&Sitter::new()).map(|seat| seat.number()));
        while seats.lock().resting.is_empty() {
            thread::yield_now();
        }
        drop(seat);
        assert_eq!(rests.join().unwrap(), Some(0));
    });
}

#[test]
fn who_rests_can_go_when_the_seats_are_closed() {
    let seats = Seats::new(1);
    let _seat = sit(&seats);
    thread::scope(|scope| {
        let rests = scope.spawn(|| seats.sit(&Sitter::new()).is_none());
        seats.close();
        assert!(rests.join().unwrap());
    });
}
