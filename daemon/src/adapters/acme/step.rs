//! What a request to a CA is for.

/// What a request is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    AnswerChallenge,
    Directory,
    DownloadCertificate,
    Finalize,
    NewAccount,
    NewOrder,
    ReadAuthorization,
    ReadOrder,
    RenewalInfo,
    UpdateAccount,
}

impl Step {
    /// Its word in metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::AnswerChallenge => "answer_challenge",
            Self::Directory => "directory",
            Self::DownloadCertificate => "download_certificate",
            Self::Finalize => "finalize",
            Self::NewAccount => "new_account",
            Self::NewOrder => "new_order",
            Self::ReadAuthorization => "read_authorization",
            Self::ReadOrder => "read_order",
            Self::RenewalInfo => "renewal_info",
            Self::UpdateAccount => "update_account",
        }
    }

    /// What it does, as messages say it.
    pub(super) const fn does(self) -> &'static str {
        match self {
            Self::AnswerChallenge => "answer a challenge",
            Self::Directory => "read the directory",
            Self::DownloadCertificate => "download the certificate",
            Self::Finalize => "finalize the order",
            Self::NewAccount => "register the account",
            Self::NewOrder => "open an order",
            Self::ReadAuthorization => "read an authorization",
            Self::ReadOrder => "read the order",
            Self::RenewalInfo => "read the renewal information",
            Self::UpdateAccount => "give the account its contacts",
        }
    }

    /// Whether its POST changes something at the CA; the others are POST-as-GET (RFC 8555 section 6.3).
    pub(super) const fn changes(self) -> bool {
        matches!(self, Self::AnswerChallenge | Self::Finalize | Self::NewAccount | Self::NewOrder | Self::UpdateAccount)
    }

    /// Whether its URL stands in the directory.
    pub(super) const fn in_directory(self) -> bool {
        matches!(self, Self::NewAccount | Self::NewOrder)
    }
}
