use std::time::Duration;

use anyhow::{Result, bail};

const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// Looks until the condition holds; fails with `what` was waited for when the deadline passes first.
pub async fn wait_until(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) -> Result<()> {
    let looking = async {
        while !condition().await {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    match tokio::time::timeout(deadline, looking).await {
        Ok(()) => Ok(()),
        Err(_) => bail!("waited {} s in vain for {what}", deadline.as_secs_f32()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_when_the_condition_holds() {
        let mut looks = 0;
        let third = async || {
            looks += 1;
            looks == 3
        };
        wait_until(Duration::from_secs(5), "a third look", third).await.unwrap();
    }

    #[tokio::test]
    async fn waiting_in_vain_says_for_what() {
        let error = wait_until(Duration::from_millis(1), "a miracle", async || false).await.unwrap_err();
        assert!(error.to_string().ends_with("in vain for a miracle"), "{error}");
    }

    #[tokio::test]
    async fn a_condition_that_hangs_is_given_up_too() {
        let hanging = async || std::future::pending().await;
        wait_until(Duration::from_millis(1), "an answer", hanging).await.unwrap_err();
    }
}
