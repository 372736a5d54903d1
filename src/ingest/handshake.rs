//! Handshakes: what must be done before they are answered.

use super::{Answer, FETCH_DEADLINE, FETCH_RETRY_AFTER, Ingest, Source};
use crate::domain::{Code, Happening};
use crate::verify::Answered;

impl Ingest {
    /// Answers a handshake, once what it wants is done. Safe to repeat: a sender that gets no answer begins anew.
    pub(super) async fn shake_hands(&self, source: &Source, answered: Answered) -> Answer {
        if let Some(url) = &answered.visit
            && let Err(cause) = self.visit(url).await
        {
            let why = format!("the URL that the sender wants to be visited gave no answer: {cause}");
            return self.turn_away(source, Code::StoreUnavailable, Some(FETCH_RETRY_AFTER), &why);
        }
        self.tell(&Happening::Handshake { source: &source.name });
        Answer::Handshake(answered.reply)
    }

    async fn visit(&self, url: &str) -> Result<(), String> {
        let visit = tokio::time::timeout(FETCH_DEADLINE, self.parts.fetch.fetch(url, &[])).await;
        visit.unwrap_or_else(|_| Err("no answer in time".to_owned())).map(drop)
    }
}
