//! What becomes of alerts that cannot be recorded.

use std::io::Write;

use super::*;
use crate::domain::Silent;

/// What was written to the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

#[test]
fn what_finds_no_room_is_in_the_log_and_does_not_flood_it() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(move || writer.clone()).finish();
    let clock = Arc::new(At(Timestamp::from_secs(1)));
    let (alerts, _pending) = Alerts::new(Routes::new(Vec::new()), clock, Arc::new(Silent), (1, Duration::from_secs(60)));
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..WAITING + 100 {
            alerts.happened(&Happening::CircuitOpened { destination: &"hook".into(), probe_in: Duration::from_secs(5) });
        }
    });
    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines = written.lines().filter(|line| line.contains("WARN") && line.contains("circuit:hook:1000")).count();
    assert!((1..=WRITTEN.get() as usize).contains(&lines), "{written}");
}
