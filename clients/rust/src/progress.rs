//! A statement that says how far it is, by `PollFlightInfo`, where the server has that.
//!
//! A server that has it not runs the statement as ever, and nothing is said. A statement that is given up while it is
//! polled is cancelled by a call of its own, because between two polls there is no stream whose end the server would see.

use std::time::{Duration, Instant};

use arrow_flight::sql::CommandStatementQuery;
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};

use crate::client::descriptor;
use crate::{CancelHandle, Class, Client, Error, Result, Rows};

/// The pause between two polls that the server answers at once: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

impl Client {
    /// Runs one statement like [`Client::query`] and says now and then how much of it is done, from 0 to 1, or `None`
    /// where the server does not know.
    ///
    /// Dropping the future cancels the statement, also between two polls.
    pub async fn query_with_progress(&self, sql: &str, mut progress: impl FnMut(Option<f64>)) -> Result<Rows> {
        let until = self.timeout().map(|timeout| Instant::now() + timeout);
        let command = CommandStatementQuery { query: sql.to_string(), transaction_id: None };
        let mut polled = match self.poll(descriptor(&command), until).await {
            Err(error) if error.class() == Class::Unsupported => return self.rows(&command).await,
            polled => polled?,
        };
        let mut running = Running { client: self.clone(), info: None };
        let mut pause = PAUSES.0;
        loop {
            running.info = polled.info;
            let Some(next) = polled.flight_descriptor else { break };
            progress(polled.progress.map(|done| done.clamp(0.0, 1.0)));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            polled = self.poll(next, until).await?;
        }
        let info = running.info.take();
        let info =
            info.ok_or_else(|| Error::new(Class::Internal, "the server ended a statement without its result"))?;
        self.until(until)?.redeem(info).await
    }

    async fn poll(&self, at: FlightDescriptor, until: Option<Instant>) -> Result<PollInfo> {
        let response = self.service().poll_flight_info(self.until(until)?.request(at)).await?;
        self.remember(response.metadata());
        Ok(response.into_inner())
    }

    /// A client whose calls end when the statement must; the server takes the time of a poll for that poll's alone.
    fn until(&self, until: Option<Instant>) -> Result<Self> {
        let Some(until) = until else { return Ok(self.clone()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::new(Class::DeadlineExceeded, "the statement did not end within the call's time"));
        }
        Ok(self.with_timeout(Some(left)))
    }
}

/// A statement between two polls; dropped with an info in it, it is cancelled.
struct Running {
    client: Client,
    info: Option<FlightInfo>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Some(info), Ok(runtime)) = (self.info.take(), tokio::runtime::Handle::try_current()) else { return };
        let handle = CancelHandle::new(self.client.clone(), info);
        runtime.spawn(async move {
            // Nobody is left to hear that it was too late.
            let _ = handle.cancel().await;
        });
    }
}
