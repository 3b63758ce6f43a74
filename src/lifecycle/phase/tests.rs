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
