// Tells noise from music while a recording lasts. The method is that of genre_app/features/noise.py, which explains it;
// NOISE holds that module's numbers, which genre_app/ui/microphone.py fills in.

const DEVIATIONS = 2.5631; // standard deviations of a normal distribution between its quantiles 0.1 and 0.9

const sum = (values, from = 0, to = values.length) => values.subarray(from, to).reduce((total, value) => total + value, 0);
const quantile = (values, share) => values.sort((a, b) => a - b)[Math.round(share * (values.length - 1))];

const meanSpectrum = (spectra) => {
  const mean = new Float64Array(spectra[0].length);
  for (const spectrum of spectra) spectrum.forEach((power, i) => (mean[i] += power / spectra.length));
  return mean;
};

// Bands [from, to) of bins that hold energy, each with its weight: one over the variance that noise has there by chance.
const audibleBands = (mean, nSpectra, bin, highest) => {
  const edge = (_, i) => bin(NOISE.lowest * (highest / NOISE.lowest) ** (i / NOISE.bands));
  const edges = Array.from({ length: NOISE.bands + 1 }, edge);
  const bands = edges.slice(1).map((to, i) => ({ from: edges[i], to, energy: sum(mean, edges[i], to) }));
  const density = ({ from, to, energy }) => energy / (to - from);
  const loudest = Math.max(...bands.map(density));
  const audible = bands.filter((band) => band.to > band.from && density(band) > NOISE.faint * loudest);
  const squares = mean.map((power) => power ** 2);
  for (const band of audible) {
    const { from, to, energy } = band;
    const equalBins = ((1 + 1 / nSpectra) * energy ** 2) / sum(squares, from, to);
    // The analyser's Blackman window correlates neighbouring bins.
    const k = Math.max(1, (Math.max(equalBins, (to - from) / 2) + 0.9) / 2);
    band.weight = 1 / (1 / k + 1 / (2 * k ** 2) + 1 / (6 * k ** 3)); // 1 / trigamma(k)
  }
  return audible;
};

// Variation of the bands' log energies over time, in units of what it is for noise.
const variation = (spectra, bands) => {
  const weights = bands.reduce((total, { weight }) => total + weight, 0);
  const logs = spectra.map((spectrum) => {
    const row = bands.map(({ from, to }) => Math.log(Math.max(sum(spectrum, from, to), 1e-30)));
    const level = row.reduce((total, log, i) => total + (log * bands[i].weight) / weights, 0);
    return row.map((log) => log - level); // without the changes that all bands share
  });
  const spread = (i) => {
    const column = logs.map((row) => row[i]);
    return (quantile(column, 0.9) - quantile(column, 0.1)) / DEVIATIONS;
  };
  return bands.reduce((total, { weight }, i) => total + (weight * spread(i) ** 2) / bands.length, 0);
};

// Share of the energy in bins that stand out of their neighbourhood's median.
const tonalShare = (mean) => {
  const standsOut = (power, i) => {
    const around = mean.subarray(Math.max(0, i - NOISE.around), i + NOISE.around + 1);
    return around.filter((other) => other * NOISE.peak < power).length > around.length / 2;
  };
  return sum(mean.filter(standsOut)) / sum(mean);
};

// Whether power spectra [bins] at `rate` Hz are noise and nothing else; noise varies less than `most`.
const isNoise = (spectra, rate, most) => {
  const mean = meanSpectrum(spectra);
  const bin = (hertz) => Math.round((hertz * 2 * mean.length) / rate);
  const highest = 0.45 * rate;
  if (variation(spectra, audibleBands(mean, spectra.length, bin, highest)) > most) return false;
  return tonalShare(mean.subarray(bin(NOISE.lowestTone), bin(highest))) < NOISE.tonal;
};
