//! Random numbers that are the same everywhere: splitmix64, and Zipf's law on top.

/// splitmix64.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 up to but not including `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Places 0, 1, 2, … with probabilities in proportion to 1, 1/2, 1/3, …
#[derive(Debug)]
pub(super) struct Zipf {
    cumulated: Vec<f64>,
}

impl Zipf {
    pub(super) fn new(places: usize) -> Self {
        let mut sum = 0.0;
        let mut cumulated: Vec<f64> = (1..=places)
            .map(|place| {
                sum += 1.0 / place as f64;
                sum
            })
            .collect();
        cumulated.iter_mut().for_each(|value| *value /= sum);
        Self { cumulated }
    }

    pub(super) fn pick(&self, random: &mut Random) -> usize {
        let fraction = random.fraction();
        self.cumulated.partition_point(|value| *value < fraction).min(self.cumulated.len().saturating_sub(1))
    }
}
