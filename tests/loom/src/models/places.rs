//! The acceptor at the limit of connections.

use loom::thread;
use loom::thread::JoinHandle;

use crate::Model;
use crate::places::Places;
use crate::sync::Arc;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::SeqCst;

pub(super) const MODELS: &[Model] = &[
    ("places: a connection closes", None, close),
    ("places: two connections close", Some(4), two_closes),
    ("places: the server stops", None, stop),
];

fn close() {
    let places = Places::new(1);
    let place = places.take();
    let acceptor = spawn_acceptor(&places, &Arc::new(AtomicBool::new(false)));
    drop(place);
    assert!(acceptor.join().unwrap());
    assert_eq!(places.taken(), 0);
}

fn two_closes() {
    let places = Places::new(2);
    let (place, other) = (places.take(), places.take());
    let acceptor = spawn_acceptor(&places, &Arc::new(AtomicBool::new(false)));
    let worker = thread::spawn(move || drop(other));
    drop(place);
    assert!(acceptor.join().unwrap());
    worker.join().unwrap();
    assert_eq!(places.taken(), 0);
}

/// No connection closes.
fn stop() {
    let places = Places::new(1);
    let _place = places.take();
    let stopping = Arc::new(AtomicBool::new(false));
    let acceptor = spawn_acceptor(&places, &stopping);
    stopping.store(true, SeqCst);
    places.wake_acceptor();
    assert!(!acceptor.join().unwrap());
}

/// As `Acceptor::accept_until_stopped`, for one connection. The thread returns whether it
/// has accepted the connection.
fn spawn_acceptor(places: &Arc<Places>, stopping: &Arc<AtomicBool>) -> JoinHandle<bool> {
    let (places, stopping) = (Arc::clone(places), Arc::clone(stopping));
    thread::spawn(move || {
        while !stopping.load(SeqCst) {
            if !places.has_room() {
                places.wait(None, || places.has_room() || stopping.load(SeqCst));
                continue;
            }
            drop(places.take());
            return true;
        }
        false
    })
}
