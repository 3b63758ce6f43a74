//! Tests of the phases.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn life(lame_duck: Duration) -> Lifecycle {
    Lifecycle::new(&Config {
        lame_duck,
        last_call: SECOND,
        drain_timeout: SECOND,
        ..Config::default()
    })
}

#[test]
fn the_first_trigger_wins_and_the_second_changes_nothing() {
    let life = life(Duration::ZERO);
    assert!(life.shutdown(Trigger::Signal));
    assert!(!life.shutdown(Trigger::Call));
    assert_eq!(life.phase(), Phase::Draining);
    assert_eq!(life.history().trigger.unwrap().0, Trigger::Signal);
}

#[test]
fn a_lame_duck_lies_between_trigger_and_drain() {
    let life = life(SECOND);
    assert_eq!(life.deadline(), None);
    life.shutdown(Trigger::Call);
    assert_eq!(life.phase(), Phase::LameDuck);
    let (_, at) = life.history().trigger.unwrap();
    assert_eq!(life.deadline(), Some(at + 2 * SECOND));
    life.drain();
    assert_eq!(life.phase(), Phase::Draining);
}

#[test]
fn a_restart_has_no_lame_duck() {
    let life = life(SECOND);
    life.shutdown(Trigger::Restart);
    assert_eq!(life.phase(), Phase::Draining);
    let (_, at) = life.history().trigger.unwrap();
    assert_eq!(life.deadline(), Some(at + SECOND));
}

#[test]
fn phases_never_move_backwards() {
    let life = life(SECOND);
    assert!(life.abort(Abort::Requested(Trigger::Call)));
    life.drain();
    assert!(!life.shutdown(Trigger::Signal));
    assert!(!life.abort(Abort::Deadline));
    assert_eq!(life.phase(), Phase::Aborting);
    life.stopped();
    assert!(!life.abort(Abort::Deadline));
    assert_eq!(life.phase(), Phase::Stopped);
}

#[test]
fn the_last_call_begins_with_the_drain_or_when_a_connection_becomes_idle() {
    let life = life(Duration::ZERO);
    let now = Instant::now();
    assert_eq!(life.last_call_ends(), None);
    assert_eq!(life.last_call_ends_for(now), None);
    life.shutdown(Trigger::Call);
    let began = life.draining_since().unwrap();
    assert_eq!(life.last_call_ends(), Some(began + SECOND));
    assert_eq!(life.last_call_ends_for(now), Some(began + SECOND));
    let later = began + 5 * SECOND;
    assert_eq!(life.last_call_ends_for(later), Some(later + SECOND));
}

#[test]
fn the_last_call_is_longer_for_clients_that_are_far_away() {
    let ms = Duration::from_millis;
    for (round_trip, longer) in [(ms(200), ms(800)), (60 * SECOND, 2 * SECOND)] {
        let life = life(Duration::ZERO);
        life.shutdown(Trigger::Call);
        let began = life.draining_since().unwrap();
        assert_eq!(life.allow_for(|| round_trip), round_trip);
        // It is asked for once.
        assert_eq!(life.allow_for(|| Duration::ZERO), round_trip);
        assert_eq!(life.allowance(), longer);
        assert_eq!(life.handshake_allowance(), longer + SYN_ACK_TIMEOUT);
        assert_eq!(life.last_call_ends(), Some(began + SECOND + longer));
        let later = began + 5 * SECOND;
        let ends = life.last_call_ends_for(later);
        assert_eq!(ends, Some(later + SECOND + longer));
    }
}

#[test]
fn without_a_last_call_there_is_none_for_clients_that_are_far_away() {
    let life = Lifecycle::new(&Config {
        last_call: Duration::ZERO,
        ..Config::default()
    });
    life.shutdown(Trigger::Call);
    life.allow_for(|| SECOND);
    assert_eq!(life.last_call_ends(), life.draining_since());
}

#[test]
fn clients_that_are_near_lengthen_a_stop_by_no_more_than_their_round_trips() {
    let life = life(Duration::ZERO);
    assert_eq!(life.handshake_allowance(), Duration::ZERO);
    life.allow_for(|| Duration::from_micros(50));
    assert_eq!(life.allowance(), Duration::from_micros(200));
    assert_eq!(life.handshake_allowance(), life.allowance());
}

#[test]
fn a_waiter_wakes_for_a_notice_and_for_its_deadline() {
    let life = life(Duration::ZERO);
    let happened = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| life.wait(None, || happened.load(SeqCst)));
        happened.store(true, SeqCst);
        life.notify();
        assert!(waiter.join().unwrap());
    });
    assert!(!life.wait(Some(Instant::now()), || false));
    assert!(!life.wait_for_phase(Phase::LameDuck, Some(Instant::now())));
}
