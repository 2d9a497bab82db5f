package io.verdier.verticles.observe;

/** How long requests and their parts took, in seconds, in vLLM's buckets. Thread-safe. */
final class Latencies {
  private static final double[] FIRST_TOKEN = {
    .001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640,
    2560
  };
  private static final double[] PER_TOKEN = {
    .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80
  };
  private static final double[] WHOLE = {
    .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680
  };

  final Exposition.Histogram firstToken;
  final Exposition.Histogram interToken;
  final Exposition.Histogram perOutputToken;
  final Exposition.Histogram whole;
  final Exposition.Histogram queued;
  final Exposition.Histogram inference;
  final Exposition.Histogram prefill;
  final Exposition.Histogram decode;

  Latencies(Exposition page) {
    firstToken =
        page.histogram("vllm:time_to_first_token_seconds", "Time to first token.", FIRST_TOKEN);
    interToken =
        page.histogram("vllm:inter_token_latency_seconds", "Time between tokens.", PER_TOKEN);
    page.histogram(
        "vllm:time_per_output_token_seconds", "Time between tokens (older name).", interToken);
    perOutputToken =
        page.histogram(
            "vllm:request_time_per_output_token_seconds",
            "Mean time between the tokens of a request.",
            PER_TOKEN);
    whole = page.histogram("vllm:e2e_request_latency_seconds", "Time of a whole request.", WHOLE);
    queued = page.histogram("vllm:request_queue_time_seconds", "Time until it runs.", WHOLE);
    inference = page.histogram("vllm:request_inference_time_seconds", "Prefill and decode.", WHOLE);
    prefill =
        page.histogram(
            "vllm:request_prefill_time_seconds", "Time from there to its first token.", WHOLE);
    decode =
        page.histogram(
            "vllm:request_decode_time_seconds", "Time from its first token to its end.", WHOLE);
  }
}
