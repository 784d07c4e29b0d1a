//! The bridge for `log`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argus_client::span;
use log::{LevelFilter, Log, Metadata, Record, debug, error, info, warn};

use super::programs::{Home, run};

/// The logger that the program had before.
struct Own(Arc<AtomicU64>);

impl Log for Own {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, _: &Record<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {
        self.0.fetch_add(100, Ordering::Relaxed);
    }
}

pub(crate) fn play() {
    let own = Arc::new(AtomicU64::new(0));
    let bridge = argus_client::log_bridge().before(Own(Arc::clone(&own)));
    bridge.install(LevelFilter::Info).unwrap();
    assert!(
        argus_client::log_bridge()
            .install(LevelFilter::Info)
            .is_err()
    );
    info!("outside");
    {
        let _span = span!("work");
        warn!(left = 3, token = "secret", share = 0.5, who = "a\"b", shown:? = Some(1); "little {}", "room");
        debug!("below the level");
        error!(target: "shop::orders", "it breaks");
    }
    log::logger().flush();
    assert_eq!(own.load(Ordering::Relaxed), 102);
}

#[test]
fn records_of_log_are_lines_of_the_span_around_them() {
    let recorded = run("logger");
    let work = recorded.span("work").number;
    let told: Vec<_> = recorded
        .logs
        .iter()
        .map(|log| (log.level.as_str(), log.line.as_str(), log.span))
        .collect();
    assert_eq!(
        told,
        [
            ("INFO", "outside", 0),
            ("WARN", "little room", work),
            ("ERROR", "it breaks", work),
        ]
    );
    assert_eq!(
        recorded.logs[1].attributes,
        r#"{"left":3,"token":"***","share":0.5,"who":"a\"b","shown":"Some(1)"}"#
    );
    assert_eq!(recorded.logs[0].logger, module_path!());
    assert_eq!(recorded.logs[2].logger, "shop::orders");
}

pub(crate) fn off() {
    argus_client::log_bridge()
        .install(LevelFilter::Trace)
        .unwrap();
    assert_eq!(log::max_level(), LevelFilter::Off);
    error!("unheard");
}

#[test]
fn turned_off_nothing_is_logged() {
    let home = Home::new("logger-off");
    let mut command = home.command("logger-off");
    assert!(
        command
            .env("ARGUS_DISABLE", "1")
            .status()
            .unwrap()
            .success()
    );
    assert!(!home.path("test.db.d").exists());
}
