//! This machine's part: its network, disk and memory, other fetches, and the end of the program.

use std::fs;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use meetcap_supervisor::Stop;
use meetcap_supervisor::models::pull::{Network, PullError, pull};
use meetcap_supervisor::models::store::StoreError;
use meetcap_tests::deadline::within;
use meetcap_tests::disk::SmallDisk;
use meetcap_tests::hub::{Act, Hub};
use meetcap_tests::processes::{memory_kib, signal};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::shapes::Shape;
use nix::sys::signal::Signal;

use crate::stage::*;

#[test]
fn a_fetch_that_was_killed_goes_on_with_what_was_made_durable() {
    within(LIMIT, || {
        let stage = Stage::new();
        stage.hub.always(Act::Trickle(Duration::from_millis(1)));
        let running = stage.command().start();
        let account = stage.room.path("models").join(format!(".{FILE}.part.json"));
        let until = Instant::now() + LIMIT;
        while !account.exists() {
            assert!(Instant::now() < until, "no account of what came in time");
            thread::yield_now();
        }
        running.signal(Signal::SIGKILL);
        assert_eq!(running.finish().signal, Some(Signal::SIGKILL as i32));
        stage.assert_nothing_came();
        stage.hub.always(Act::Serve);
        let before = stage.hub.served();
        let _ = stage.command().run().expect_code(0).says("fetched ears");
        stage.assert_came(model());
        assert!(stage.hub.served() - before < model().len() as u64, "something was gone on with");
    });
}

#[test]
fn without_a_network_it_is_told_quickly_and_offline_nobody_is_asked() {
    within(LIMIT, || {
        let mut stage = Stage::new();
        stage.network.offline = Some("HF_HUB_OFFLINE");
        let _ = stage.assert_fails("HF_HUB_OFFLINE forbids");
        assert_eq!((stage.hub.connections(), stage.names().len()), (0, 0));
        // Nobody listens at a port that was just given back.
        let gone =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let mut stage = Stage::new();
        stage.wanted.address = format!("http://{gone}{PATH}");
        let began = Instant::now();
        let _ = stage.assert_fails("is there a network?");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    });
}

#[test]
fn a_proxy_is_used_but_not_for_whom_it_is_not_wanted() {
    within(LIMIT, || {
        let proxied = |stage: &Stage, proxy: &Hub, except: &str| {
            let variable = |name: &str| match name {
                "http_proxy" => Some(proxy.address().into()),
                "NO_PROXY" => Some(except.into()),
                "HF_ENDPOINT" => Some(stage.hub.address().into()),
                _ => None,
            };
            let read = Network::from_environment(variable, |_| None);
            let network = impatient(read, stage.hub.address());
            pull(&stage.wanted, &stage.store(), &network, &Stop::default(), |_| {})
        };
        let nothing = || Hub::new([], Duration::ZERO);
        let (stage, proxy) = (Stage::new(), nothing());
        proxy.put(PATH, model().to_vec());
        proxied(&stage, &proxy, "elsewhere.example").expect("a model");
        stage.assert_came(model());
        assert!(!proxy.requests().is_empty(), "nothing went through the proxy");
        let (stage, proxy) = (Stage::new(), nothing());
        proxied(&stage, &proxy, "127.0.0.1,other.example").expect("a model");
        stage.assert_came(model());
        assert_eq!(proxy.requests(), []);
    });
}

/// A real shape, large enough for several connections.
fn large() -> &'static [u8] {
    static LARGE: OnceLock<Vec<u8>> = OnceLock::new();
    LARGE.get_or_init(|| {
        let room = Room::new();
        let mut rng = Rng::new(1);
        let shape = Shape::named("whisper-tiny-f16", &mut rng).expect("a shape");
        shape.write(&room.path("large.bin"), &mut rng).expect("room on the disk");
        fs::read(room.path("large.bin")).expect("it was just written")
    })
}

#[test]
fn a_large_file_comes_over_several_connections_and_takes_little_memory() {
    within(LIMIT, || {
        let stage = Stage::serving(large().to_vec());
        stage.pull().expect("a model");
        stage.assert_came(large());
        assert!(stage.hub.connections() >= 4, "{}", stage.hub.connections());
        assert!(stage.hub.served() <= 1 + large().len() as u64, "{}", stage.hub.served());

        // The same by the program, whose memory is not the server's.
        let stage = Stage::serving(large().to_vec());
        let running = stage.command().start();
        let mut most = 0;
        while !running.ends_within(Duration::from_millis(2)) {
            most = most.max(memory_kib(running.pid, "RssAnon").unwrap_or(0));
        }
        let _ = running.finish().expect_code(0);
        stage.assert_came(large());
        assert!((1..8 << 10).contains(&most), "{most} KiB of anonymous memory");
    });
}

#[test]
fn a_second_fetch_of_the_same_file_is_told_who_is_at_it() {
    on_stage(|stage| {
        stage.hub.always(Act::Trickle(Duration::from_micros(300)));
        let mut second = None;
        let stop = Stop::default();
        let _ = stage.pull_until(&stop, |progress| {
            if progress.bytes_done > 0 && second.is_none() {
                second = Some(stage.pull());
                stop.interrupt();
            }
        });
        let busy = second.expect("it was tried").expect_err("one at a time");
        let own = std::process::id();
        assert!(matches!(busy, PullError::Store(StoreError::Busy { pid: Some(pid), .. }) if pid == own), "{busy:?}");
    });
}

#[test]
fn a_full_disk_is_told_before_anything_comes_and_while_it_does() {
    within(LIMIT, || {
        let stage = Stage::new();
        let Some(_disk) = SmallDisk::mount(&stage.models(), 1024) else { return };
        let error = stage.assert_fails("the disk has not enough room");
        assert!(matches!(error, PullError::DiskFull { .. }), "{error:?}");
        assert!(stage.hub.served() <= 1, "nothing was fetched");

        let stage = Stage::new();
        let room = 20 << 10;
        let Some(_disk) = SmallDisk::mount(&stage.models(), room + 5 * 1024) else { return };
        stage.hub.always(Act::Trickle(Duration::from_micros(200)));
        let ballast = stage.room.path("models").join("ballast");
        let mut is_full = false;
        let failed = stage.pull_until(&Stop::default(), |progress| {
            if progress.bytes_done > 100_000 && !is_full {
                is_full = true;
                // Somebody else takes the rest.
                let _ = fs::write(&ballast, vec![0; (room as usize + 5 * 1024) << 10]);
            }
        });
        let error = failed.expect_err("no room");
        assert!(matches!(error, PullError::DiskFull { .. }), "{error:?}");
        stage.assert_nothing_came();
        fs::remove_file(&ballast).expect("it was just written");
        stage.hub.always(Act::Serve);
        stage.pull().expect("a model");
        stage.assert_came(model());
    });
}

#[test]
fn a_lock_goes_with_its_process() {
    on_stage(|stage| {
        stage.hub.always(Act::Trickle(Duration::from_millis(1)));
        let running = stage.command().start();
        let lock = stage.room.path("models").join(format!(".{FILE}.lock"));
        let until = Instant::now() + LIMIT;
        let holds = || fs::read_to_string(&lock).is_ok_and(|text| text.trim() == running.pid.to_string());
        while !holds() {
            assert!(Instant::now() < until, "no lock in time");
            thread::yield_now();
        }
        let told = stage.command().run().expect_code(4);
        let _ = told.says(&format!("by process {}", running.pid));
        assert!(signal(running.pid, Signal::SIGKILL));
        let _ = running.finish();
        stage.hub.always(Act::Serve);
        let _ = stage.command().run().expect_code(0);
    });
}
