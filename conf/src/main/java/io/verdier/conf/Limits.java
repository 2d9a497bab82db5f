package io.verdier.conf;

import java.time.Duration;

/**
 * Every bound of the server in one place. Immutable.
 *
 * <p>Memory that requests can pin is at most {@code queuedRequestsMax × bodyBytesMax} while they
 * wait, {@code queuedRequestsMax × streamBufferBytesMax} while they stream, plus the KV cache,
 * which is allocated once. Bodies that are being received hold a quarter of the heap at most; a
 * body is dropped once it is parsed and a prompt once it is tokenized (answers that repeat their
 * prompt keep its text), so the first product is a bound on paper; the second is 512 MiB with the
 * defaults. What a request says once for many prompts, or asks to be repeated in many choices, is
 * bounded by {@code bodyBytesMax} and four times {@code jsonNodesMax} as if it were written out.
 * Stored responses, where they are asked for, add {@code storedResponseBytesMax}.
 *
 * <p>The default of {@code queuedRequestsMax} is 2048 although only 256 requests are meant to wait
 * in comfort: it counts sequences, running ones included. A list of {@code promptsMax} prompts, as
 * long as vLLM takes it, is one request of 1024 sequences, a ranking of as many documents one of
 * 1025; beside it there is place for as many more. 256 may run ({@code --max-num-seqs}), and 768
 * behind them are 256 requests of up to three choices. More would only wait longer than their
 * clients do.
 *
 * <p>The defaults live in the table of flags; a test writes all of them down.
 *
 * @param headerBytesMax total size of request headers
 * @param bodyBytesMax size of a request body
 * @param jsonDepthMax nesting of a JSON body
 * @param jsonNodesMax values in a JSON body
 * @param messagesMax messages in a conversation
 * @param promptsMax prompts or instances in a request
 * @param choicesMax {@code n}
 * @param stopStringsMax stop strings in a request
 * @param stopStringCharsMax characters of one stop string
 * @param logitBiasMax entries of {@code logit_bias}
 * @param toolsMax declared tools
 * @param queuedRequestsMax sequences admitted and not yet finished, waiting and running together
 * @param overloadStatus HTTP status past that: 503 or 429
 * @param streamBufferBytesMax bytes that a stream may hold for a slow reader before it is cut
 * @param headerTimeout time until the request's headers are complete
 * @param bodyIdleTimeout silence allowed inside a request body; a whole body has so long, and a
 *     second for each 16 KiB
 * @param keepAliveTimeout silence allowed between requests
 * @param requestTimeout time from admission to the last token; an hour is the longest that Vertex
 *     AI waits for an answer
 * @param drainTimeout time that running streams get after SIGTERM; below the 30 s after which
 *     Kubernetes kills
 * @param templateSteps evaluation steps of a chat template
 * @param templateCharsMax characters that a chat template may produce
 * @param storedResponsesMax answers of the Responses API that are kept
 * @param storedResponseBytesMax what they may hold together, their conversations included
 * @param storedResponseTime how long each is kept
 */
public record Limits(
    int headerBytesMax,
    long bodyBytesMax,
    int jsonDepthMax,
    int jsonNodesMax,
    int messagesMax,
    int promptsMax,
    int choicesMax,
    int stopStringsMax,
    int stopStringCharsMax,
    int logitBiasMax,
    int toolsMax,
    int queuedRequestsMax,
    int overloadStatus,
    int streamBufferBytesMax,
    Duration headerTimeout,
    Duration bodyIdleTimeout,
    Duration keepAliveTimeout,
    Duration requestTimeout,
    Duration drainTimeout,
    long templateSteps,
    int templateCharsMax,
    int storedResponsesMax,
    long storedResponseBytesMax,
    Duration storedResponseTime) {

  public Limits {
    if (overloadStatus != 503 && overloadStatus != 429) {
      throw new IllegalArgumentException("overload status " + overloadStatus);
    }
  }
}
