//! Keys before a handler that waits for its turn.

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::{App, web};
use tokio::sync::Semaphore;

use super::*;
use crate::domain::{Silent, SystemClock};
use crate::store::sqlite::{Options, SqliteStore};

/// What the handler does: waits for its turn, and answers with the status that it is told and the body that came.
struct Slow {
    turns: Semaphore,
    begun: AtomicUsize,
    status: AtomicU16,
}

impl Slow {
    fn new(turns: usize) -> Data<Self> {
        Data::new(Self { turns: Semaphore::new(turns), begun: AtomicUsize::new(0), status: AtomicU16::new(201) })
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

/// The status with which the handler panics.
const PANIC: u16 = 418;

async fn slow(request: HttpRequest, body: Bytes, slow: Data<Slow>) -> HttpResponse {
    slow.begun.fetch_add(1, Ordering::SeqCst);
    slow.turns.acquire().await.unwrap().forget();
    let status = slow.status.load(Ordering::SeqCst);
    assert_ne!(status, PANIC, "a test's panic");
    let is_kept = request.method() == Method::POST && request.path().starts_with(API) && request.headers().contains_key(KEY);
    assert_eq!(claim(&request).is_some(), is_kept);
    let mut answer = HttpResponse::build(StatusCode::from_u16(status).unwrap());
    answer.insert_header(("location", "/made")).insert_header(("x-other", "y")).body(body)
}

/// An application over a database of its own.
macro_rules! app {
    ($folder:expr, $slow:expr) => {{
        let store = SqliteStore::open(&$folder.path().join("test.db"), &Options::default(), Arc::new(Silent)).unwrap();
        let keys = Data::new(Idempotency::new(Arc::new(store), Arc::new(SystemClock), Duration::from_secs(60)));
        let resource = web::resource("/{path:.*}").to(slow);
        init_service(App::new().app_data(keys).app_data($slow.clone()).wrap(from_fn(guard)).service(resource)).await
    }};
}

fn post(key: &'static str, body: &'static str) -> TestRequest {
    TestRequest::post().uri("/api/v1/slow?a=b").insert_header((KEY, key)).set_payload(body)
}

/// Lets others go on until this holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

/// Status, and whether it was given before.
fn seen<B>(response: &ServiceResponse<B>) -> (u16, bool) {
    (response.status().as_u16(), response.headers().get(REPLAYED).is_some_and(|value| value == "true"))
}

#[actix_web::test]
async fn a_repetition_gets_the_first_answer_without_what_belongs_to_the_moment() {
    let (folder, slow) = (tempfile::tempdir().unwrap(), Slow::new(9));
    let app = app!(folder, slow);
    let first = post("k", "body").send_request(&app).await;
    assert_eq!((seen(&first), first.headers().contains_key("x-other")), ((201, false), true));
    assert_eq!(read_body(first).await, "body");
    slow.answers(500);
    for key in ["k", "\"k\""] {
        let again = post(key, "body").send_request(&app).await;
        assert_eq!((seen(&again), again.headers().contains_key("x-other")), ((201, true), false));
        assert_eq!(again.headers().get("location").unwrap(), "/made");
        assert_eq!(read_body(again).await, "body");
    }
    assert_eq!(slow.begun(), 1);
}

#[actix_web::test]
async fn what_has_no_key_and_what_may_be_repeated_anyway_goes_through_each_time() {
    let (folder, slow) = (tempfile::tempdir().unwrap(), Slow::new(99));
    let app = app!(folder, slow);
    for (request, begun) in [
        (|| TestRequest::post().uri("/api/v1/slow"), 2),
        (|| TestRequest::get().uri("/api/v1/slow").insert_header((KEY, "")), 4),
        (|| TestRequest::put().uri("/api/v1/slow").insert_header((KEY, "k")), 6),
        (|| TestRequest::post().uri("/elsewhere").insert_header((KEY, "k")), 8),
    ] as [(fn() -> TestRequest, usize); 4]
    {
        for _ in 0..2 {
            assert_eq!(seen(&request().send_request(&app).await), (201, false));
        }
        assert_eq!(slow.begun(), begun);
    }
}

#[actix_web::test]
async fn a_client_that_goes_away_finds_the_answer_when_it_comes_back() {
    let (folder, slow) = (tempfile::tempdir().unwrap(), Slow::new(0));
    let app = app!(folder, slow);
    let mut first = Box::pin(post("k", "body").send_request(&app));
    tokio::select! {
        _ = &mut first => panic!("it was not its turn"),
        () = until(|| slow.begun() == 1) => {}
    }
    drop(first);
    assert_eq!(seen(&post("k", "body").send_request(&app).await), (409, false));
    assert_eq!(seen(&post("k", "other").send_request(&app).await), (422, false));
    slow.turns.add_permits(1);
    let again = loop {
        let again = post("k", "body").send_request(&app).await;
        if again.status() != 409 {
            break again;
        }
    };
    assert_eq!((seen(&again), slow.begun()), ((201, true), 1));
    assert_eq!(read_body(again).await, "body");
}

#[actix_web::test]
async fn what_came_to_nothing_may_be_tried_again_under_its_key() {
    let (folder, slow) = (tempfile::tempdir().unwrap(), Slow::new(9));
    let app = app!(folder, slow);
    for status in [500, 503, 429, 401] {
        slow.answers(status);
        assert_eq!(seen(&post("k", "body").send_request(&app).await), (status, false));
    }
    slow.answers(404);
    assert_eq!(seen(&post("k", "body").send_request(&app).await), (404, false));
    slow.answers(201);
    assert_eq!(seen(&post("k", "body").send_request(&app).await), (404, true), "that nothing is there is an answer");
    assert_eq!(slow.begun(), 5);
}

#[actix_web::test]
async fn a_handler_that_panics_leaves_its_key_free() {
    let (folder, slow) = (tempfile::tempdir().unwrap(), Slow::new(9));
    let app = app!(folder, slow);
    slow.answers(PANIC);
    let panics = std::panic::AssertUnwindSafe(post("k", "body").send_request(&app));
    assert!(futures_util::FutureExt::catch_unwind(panics).await.is_err());
    slow.answers(201);
    assert_eq!(seen(&post("k", "another body").send_request(&app).await), (201, false));
}

#[actix_web::test]
async fn an_order_is_bounded_before_it_counts() {
    let (folder, slow) = (tempfile::tempdir().unwrap(), Slow::new(9));
    let app = app!(folder, slow);
    let large = TestRequest::post().uri("/api/v1/slow").insert_header((KEY, "k")).set_payload(vec![b'x'; body::MAX_ORDER + 1]);
    assert_eq!(seen(&large.send_request(&app).await), (413, false));
    let twice = post("k", "body").append_header((KEY, "k"));
    assert_eq!(seen(&twice.send_request(&app).await), (400, false));
    assert_eq!(slow.begun(), 0);
    assert_eq!(seen(&post("k", "body").send_request(&app).await), (201, false), "neither has taken the key");
}
