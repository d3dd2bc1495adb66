//! Threads that compute together: for each token some hundred steps of a few microseconds each, so that nobody may sleep
//! between two of them and waking costs more than many a step.
//!
//! The caller works too. A thread without work looks out for some for `PATIENCE`, then sleeps. Who calls does not wait
//! for those that sleep: it does what is left itself, and whoever wakes too late finds the step closed.

// A step borrows from its caller's stack, and pieces of a slice go to several threads.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a thread looks out for work: longer than what lies between two steps of a token.
const PATIENCE: Duration = Duration::from_micros(100);
/// How long a thread that is to leave its core to somebody else sleeps before it looks again.
const REST: Duration = Duration::from_millis(10);
/// Cores that [`on_one_core`] computes on.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// Set in [`Shared::inside`] while a step can be joined.
const OPEN: usize = 1 << (usize::BITS - 1);

/// One step: called with each number below `count`, from any thread.
#[derive(Clone, Copy)]
struct Step {
    /// Lives as long as somebody is inside.
    run: *const (dyn Fn(usize) + Sync),
    count: usize,
}

struct Shared {
    /// Written by whoever holds [`Team::turn`], while the step is closed and nobody inside.
    step: UnsafeCell<Option<Step>>,
    /// Counts steps, so that each thread joins each once.
    number: AtomicUsize,
    /// Threads in the step, and [`OPEN`].
    inside: AtomicUsize,
    /// The next number to be called with.
    next: AtomicUsize,
    sleeping: AtomicUsize,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `step` is written only while the step is closed and nobody inside, and read only by threads that are inside;
// `join` and `close` order both. What it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer in it is used by no thread that is not inside.
unsafe impl Send for Shared {}

impl Shared {
    /// Enters the step if it is still open.
    fn join(&self) -> bool {
        let open = |inside| (inside & OPEN != 0).then_some(inside + 1);
        self.inside.fetch_update(Acquire, Relaxed, open).is_ok()
    }

    /// Does of the step what nobody else does. Only for who is inside.
    fn work(&self) {
        // SAFETY: whoever is inside sees the step that was written before it was opened, and nobody writes until all
        // have left.
        let Some(Step { run, count }) = (unsafe { *self.step.get() }) else { return };
        // SAFETY: the caller of the step waits until all have left, so what it lent is there.
        let run = unsafe { &*run };
        loop {
            let i = self.next.fetch_add(1, Relaxed);
            if i >= count {
                return;
            }
            run(i);
        }
    }

    /// What thread `index` of the team does; the caller of a step is thread 0.
    fn serve(&self, index: usize) {
        let cores = cores();
        let leaves = || {
            let taken = TAKEN.load(Relaxed);
            taken > 0 && index >= cores.saturating_sub(taken)
        };
        let mut seen = 0;
        loop {
            while leaves() && !self.stop.load(Acquire) {
                thread::park_timeout(REST);
            }
            let mut patience: Option<Instant> = None;
            loop {
                let number = self.number.load(Acquire);
                if number != seen {
                    seen = number;
                    break;
                }
                if self.stop.load(Acquire) {
                    return;
                }
                for _ in 0..32 {
                    spin_loop();
                }
                if patience.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    self.sleeping.fetch_add(1, SeqCst);
                    // Whoever calls counts first and looks for sleepers then.
                    if self.number.load(SeqCst) == seen && !self.stop.load(SeqCst) {
                        thread::park();
                    }
                    self.sleeping.fetch_sub(1, SeqCst);
                    patience = None;
                }
            }
            if !leaves() && self.join() {
                if let Err(fault) = catch_unwind(AssertUnwindSafe(|| self.work())) {
                    self.panic.lock().get_or_insert(fault);
                }
                self.inside.fetch_sub(1, Release);
            }
        }
    }
}

/// Closes the step and waits until all have left, also when the caller's own part panics.
struct Close<'a>(&'a Shared);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.inside.fetch_and(!OPEN, AcqRel) & !OPEN;
        let mut spins = 0u32;
        while inside != 0 {
            spins += 1;
            // Somebody may have been taken off the CPU in the middle of its part.
            if spins.is_multiple_of(1 << 12) {
                thread::yield_now();
            } else {
                spin_loop();
            }
            inside = self.0.inside.load(Acquire);
        }
    }
}

/// A number of threads, the caller's own among them.
pub struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held for one step.
    turn: Mutex<()>,
}

thread_local! {
    /// The team of this thread, while it is at work for a model.
    static TEAM: Cell<Option<*const Team>> = const { Cell::new(None) };
    /// Set in a step: what is called from there does its own steps alone.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// For what runs outside of a model.
static ALL: LazyLock<Option<Team>> = LazyLock::new(|| Team::new(0).ok());

impl Team {
    /// As many threads as `threads` says, or one per core for 0.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let others = if threads == 0 { cores() } else { threads } - 1;
        let shared = Arc::new(Shared {
            step: UnsafeCell::new(None),
            number: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            sleeping: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panic: Mutex::default(),
        });
        let mut team = Self { shared, threads: Vec::new(), turn: Mutex::default() };
        for i in 0..others {
            let shared = team.shared.clone();
            let builder = thread::Builder::new().name(format!("gist-qwen-{}", i + 1));
            team.threads.push(builder.spawn(move || {
                BUSY.set(true);
                shared.serve(i + 1);
            })?);
        }
        Ok(team)
    }

    /// Runs `f` with this team for all its steps.
    pub fn install<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Reset(Option<*const Team>);
        impl Drop for Reset {
            fn drop(&mut self) {
                TEAM.set(self.0);
            }
        }
        let _reset = Reset(TEAM.replace(Some(self)));
        f()
    }

    fn each(&self, count: usize, run: &(dyn Fn(usize) + Sync)) {
        let turn = self.turn.lock();
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes; `Close` waits until nobody uses it any more.
        let run = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync + 'static)>(run)
        };
        // SAFETY: the step is closed and nobody is inside: so the last `Close` left it.
        unsafe { *shared.step.get() = Some(Step { run, count }) };
        shared.next.store(0, Relaxed);
        shared.inside.store(OPEN, Release);
        shared.number.fetch_add(1, SeqCst);
        if shared.sleeping.load(SeqCst) > 0 {
            self.threads.iter().for_each(|thread| thread.thread().unpark());
        }
        struct Free;
        impl Drop for Free {
            fn drop(&mut self) {
                BUSY.set(false);
            }
        }
        {
            let _close = Close(shared);
            BUSY.set(true);
            let _free = Free;
            shared.work();
        }
        let fault = shared.panic.lock().take();
        drop(turn);
        if let Some(fault) = fault {
            resume_unwind(fault);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A step's panic was told to who called it.
            let _ = thread.join();
        }
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `f` with all its steps on this thread alone. Every team leaves it a core meanwhile: a thread that loses its core
/// in the middle of a step holds up its whole team.
pub fn on_one_core<R>(f: impl FnOnce() -> R) -> R {
    struct Release(bool);
    impl Drop for Release {
        fn drop(&mut self) {
            BUSY.set(self.0);
            TAKEN.fetch_sub(1, Relaxed);
        }
    }
    TAKEN.fetch_add(1, Relaxed);
    let _release = Release(BUSY.replace(true));
    f()
}

/// The team of this thread.
fn with_team<R>(f: impl FnOnce(Option<&Team>) -> R) -> R {
    if BUSY.get() {
        return f(None);
    }
    match TEAM.get() {
        // SAFETY: `install` borrows the team until it has taken it off this thread again.
        Some(team) => f(Some(unsafe { &*team })),
        None => f(ALL.as_ref()),
    }
}

/// How many threads a step of this thread runs on.
pub fn threads() -> usize {
    with_team(|team| team.map_or(1, |team| team.threads.len() + 1))
}

/// Calls `run` with each number below `count`, on all threads of the team.
///
/// # Panics
/// When `run` does.
pub fn each(count: usize, run: impl Fn(usize) + Sync) {
    with_team(|team| match team {
        Some(team) if count > 1 && !team.threads.is_empty() => team.each(count, &run),
        _ => (0..count).for_each(run),
    });
}

/// Calls `run` with each piece of `x` of `size` (the last may be shorter) and its number.
///
/// # Panics
/// When `run` does, or `size` is 0.
pub fn pieces<T: Send>(x: &mut [T], size: usize, run: impl Fn(usize, &mut [T]) + Sync) {
    pieces_of_rows(x, x.len().max(1), size, run);
}

/// As [`pieces`] of each row of `x`, which is cut into rows of `width`; the number counts those of all rows.
///
/// # Panics
/// When `run` does, or a size is 0.
pub fn pieces_of_rows<T: Send>(x: &mut [T], width: usize, size: usize, run: impl Fn(usize, &mut [T]) + Sync) {
    struct Start<T>(*mut T);
    // SAFETY: each piece is used by one thread, and `T` may be sent to it.
    unsafe impl<T: Send> Sync for Start<T> {}
    let (start, rows, parts) = (Start(x.as_mut_ptr()), x.len() / width, width.div_ceil(size));
    let start = &start;
    each(rows * parts, |i| {
        let (row, from) = (i / parts, i % parts * size);
        // SAFETY: pieces are disjoint parts of `x`, which is borrowed mutably until all are done, and `each` calls with
        // each number once.
        let piece = unsafe {
            std::slice::from_raw_parts_mut(start.0.add(row * width + from), size.min(width - from))
        };
        run(i, piece);
    });
}

/// What `run` makes of each number below `count`.
///
/// # Panics
/// When `run` does.
pub fn map<T: Send>(count: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut all: Vec<Option<T>> = (0..count).map(|_| None).collect();
    pieces(&mut all, 1, |i, piece| piece[0] = Some(run(i)));
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_called_once_whoever_sleeps() {
        let team = Team::new(4).unwrap();
        let calls: Vec<AtomicUsize> = (0..1000).map(|_| AtomicUsize::new(0)).collect();
        team.install(|| {
            for round in 0..2000 {
                let count = round % 37;
                each(count, |i| {
                    calls[i].fetch_add(1, Relaxed);
                });
                if round % 500 == 0 {
                    thread::sleep(4 * PATIENCE);
                }
            }
        });
        for (i, calls) in calls.iter().enumerate() {
            let expected = (0..2000).filter(|round| round % 37 > i).count();
            assert_eq!(calls.load(Relaxed), expected);
        }
    }

    #[test]
    fn callers_take_turns_and_steps_may_have_steps() {
        let team = Team::new(3).unwrap();
        thread::scope(|scope| {
            for seed in 0..4usize {
                let team = &team;
                scope.spawn(move || {
                    team.install(|| {
                        for n in 0..300usize {
                            let sums = map(n % 9, |i| map(5, |k| i * k + seed).iter().sum::<usize>());
                            let expected: Vec<usize> = (0..n % 9).map(|i| i * 10 + 5 * seed).collect();
                            assert_eq!(sums, expected);
                        }
                    });
                });
            }
        });
    }

    #[test]
    fn cores_that_are_taken_are_left_alone_and_used_again() {
        let team = Team::new(cores().max(2)).unwrap();
        let helpers = || {
            let seen = Mutex::new(std::collections::HashSet::new());
            each(64, |_| {
                seen.lock().insert(thread::current().id());
                thread::sleep(Duration::from_micros(100));
            });
            seen.into_inner().len() - 1
        };
        team.install(|| {
            assert_eq!(on_one_core(helpers), 0, "who computes on one core does so alone");
            let (taken, done) = (std::sync::Barrier::new(cores() + 1), std::sync::Barrier::new(cores() + 1));
            thread::scope(|scope| {
                for _ in 0..cores() {
                    scope.spawn(|| {
                        on_one_core(|| {
                            taken.wait();
                            done.wait();
                        });
                    });
                }
                taken.wait();
                assert_eq!((0..20).map(|_| helpers()).max(), Some(0), "every core is somebody else's");
                done.wait();
            });
            while helpers() == 0 {}
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let team = Team::new(2).unwrap();
        team.install(|| {
            for bad in [0, 5, 63] {
                let step = || each(64, |i| assert!(i != bad, "number {i}"));
                assert!(catch_unwind(AssertUnwindSafe(step)).is_err());
                assert_eq!(map(8, |i| i), [0, 1, 2, 3, 4, 5, 6, 7]);
            }
        });
    }

    #[test]
    fn pieces_cover_a_slice() {
        let mut x = vec![0; 103];
        pieces(&mut x, 10, |i, piece| piece.iter_mut().for_each(|x| *x += i));
        assert!(x.iter().enumerate().all(|(at, x)| *x == at / 10));
        pieces(&mut [0u8; 0], 4, |_, _| unreachable!("there is no piece"));
    }
}
