module.exports = {
  setup() {
    return this;
  },
  start() {
    return this;
  },
  TelemetryClient: class {},
};
