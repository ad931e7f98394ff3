//! The detectors by name, and their settings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    Adwin, AdwinSettings, Cusum, CusumSettings, Ddm, DdmSettings, Detector, Eddm, EddmSettings, HddmA, HddmASettings,
    HddmW, HddmWSettings, InvalidSetting, Kswin, KswinSettings, PageHinkley, PageHinkleySettings,
};

/// A detector, named as in configurations and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectorKind {
    Adwin,
    PageHinkley,
    Ddm,
    Eddm,
    HddmA,
    HddmW,
    Kswin,
    Cusum,
}

/// The values a detector's guarantees hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputDomain {
    /// 1 for an error, 0 for a correct answer.
    Errors,
    /// 0 to 1, such as errors or error rates.
    UnitInterval,
    /// Any number.
    Real,
}

/// A detector with its settings. Written as its settings beside its `kind`; what is not written has its default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DetectorSettings {
    Adwin(AdwinSettings),
    PageHinkley(PageHinkleySettings),
    Ddm(DdmSettings),
    Eddm(EddmSettings),
    HddmA(HddmASettings),
    HddmW(HddmWSettings),
    Kswin(KswinSettings),
    Cusum(CusumSettings),
}

impl DetectorKind {
    pub const ALL: [Self; 8] =
        [Self::Adwin, Self::PageHinkley, Self::Ddm, Self::Eddm, Self::HddmA, Self::HddmW, Self::Kswin, Self::Cusum];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adwin => "adwin",
            Self::PageHinkley => "page_hinkley",
            Self::Ddm => "ddm",
            Self::Eddm => "eddm",
            Self::HddmA => "hddm_a",
            Self::HddmW => "hddm_w",
            Self::Kswin => "kswin",
            Self::Cusum => "cusum",
        }
    }

    #[must_use]
    pub const fn domain(self) -> InputDomain {
        match self {
            Self::Ddm | Self::Eddm => InputDomain::Errors,
            Self::HddmA | Self::HddmW => InputDomain::UnitInterval,
            Self::Adwin | Self::PageHinkley | Self::Kswin | Self::Cusum => InputDomain::Real,
        }
    }
}

impl DetectorSettings {
    #[must_use]
    pub const fn kind(&self) -> DetectorKind {
        match self {
            Self::Adwin(_) => DetectorKind::Adwin,
            Self::PageHinkley(_) => DetectorKind::PageHinkley,
            Self::Ddm(_) => DetectorKind::Ddm,
            Self::Eddm(_) => DetectorKind::Eddm,
            Self::HddmA(_) => DetectorKind::HddmA,
            Self::HddmW(_) => DetectorKind::HddmW,
            Self::Kswin(_) => DetectorKind::Kswin,
            Self::Cusum(_) => DetectorKind::Cusum,
        }
    }

    pub fn validate(&self) -> Result<(), InvalidSetting> {
        match self {
            Self::Adwin(settings) => settings.validate(),
            Self::PageHinkley(settings) => settings.validate(),
            Self::Ddm(settings) => settings.validate(),
            Self::Eddm(settings) => settings.validate(),
            Self::HddmA(settings) => settings.validate(),
            Self::HddmW(settings) => settings.validate(),
            Self::Kswin(settings) => settings.validate(),
            Self::Cusum(settings) => settings.validate(),
        }
    }

    /// A detector at the start of a series.
    pub fn build(&self) -> Result<Box<dyn Detector>, InvalidSetting> {
        Ok(match *self {
            Self::Adwin(settings) => Box::new(Adwin::new(settings)?),
            Self::PageHinkley(settings) => Box::new(PageHinkley::new(settings)?),
            Self::Ddm(settings) => Box::new(Ddm::new(settings)?),
            Self::Eddm(settings) => Box::new(Eddm::new(settings)?),
            Self::HddmA(settings) => Box::new(HddmA::new(settings)?),
            Self::HddmW(settings) => Box::new(HddmW::new(settings)?),
            Self::Kswin(settings) => Box::new(Kswin::new(settings)?),
            Self::Cusum(settings) => Box::new(Cusum::new(settings)?),
        })
    }

    /// A detector of values that have mean 0 and standard deviation 1 as long as nothing changes: CUSUM needs no warm-up.
    pub fn build_standardised(&self) -> Result<Box<dyn Detector>, InvalidSetting> {
        match *self {
            Self::Cusum(settings) => Ok(Box::new(Cusum::with_baseline(settings, 0.0, 1.0)?)),
            _ => self.build(),
        }
    }
}

/// The detector with its default settings.
impl From<DetectorKind> for DetectorSettings {
    fn from(kind: DetectorKind) -> Self {
        match kind {
            DetectorKind::Adwin => Self::Adwin(AdwinSettings::default()),
            DetectorKind::PageHinkley => Self::PageHinkley(PageHinkleySettings::default()),
            DetectorKind::Ddm => Self::Ddm(DdmSettings::default()),
            DetectorKind::Eddm => Self::Eddm(EddmSettings::default()),
            DetectorKind::HddmA => Self::HddmA(HddmASettings::default()),
            DetectorKind::HddmW => Self::HddmW(HddmWSettings::default()),
            DetectorKind::Kswin => Self::Kswin(KswinSettings::default()),
            DetectorKind::Cusum => Self::Cusum(CusumSettings::default()),
        }
    }
}

impl fmt::Display for DetectorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DetectorKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}
