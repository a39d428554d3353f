// Sluice by the JDK alone: sends a message and waits for its status, or verifies a webhook.
//   SLUICE_URL=… SLUICE_KEY=… java Sluice.java send +989121234567 "Hello"
//   WEBHOOK_SECRET=… WEBHOOK_ID=… WEBHOOK_TIMESTAMP=… WEBHOOK_SIGNATURE=… java Sluice.java verify <body
// Needs Java 17 and a locale in UTF-8. A real program would use its JSON library instead of member() and quoted().

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Sluice {
  static final int TRIES = 5;
  static final Set<String> IN_DOUBT =
      Set.of("", "outcome_unknown", "internal", "idempotency_in_progress");
  static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  /**
   * The answer. Tries again after no answer, 429 and 503, and while an earlier try is still being processed;
   * the Idempotency-Key makes all tries one. The refusal of a repeat says nothing of the tries before it.
   */
  static String request(String method, String path, String body) throws Exception {
    String key = UUID.randomUUID().toString();
    HttpRequest.Builder call =
        HttpRequest.newBuilder(URI.create(System.getenv("SLUICE_URL") + path))
            .header("X-API-Key", System.getenv("SLUICE_KEY"))
            .header("Idempotency-Key", key)
            .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
    if (body != null) call.header("Content-Type", "application/json");
    boolean inDoubt = false;
    for (int tried = 1; ; tried++) {
      long waitMs = 250L << tried;
      boolean again = true;
      String text;
      String code = "";
      try {
        // A time-out of the request itself would end at the answer's headers.
        HttpResponse<String> answer =
            CLIENT.sendAsync(call.build(), BodyHandlers.ofString()).get(30, TimeUnit.SECONDS);
        int status = answer.statusCode();
        text = answer.body();
        if (status < 300) return text;
        if (text.contains("\"code\":")) code = member(text, "code"); // otherwise it is not the gateway's
        again = status == 429 || status == 503 || code.equals("idempotency_in_progress");
        waitMs = Math.max(waitMs, 1_000 * answer.headers().firstValueAsLong("Retry-After").orElse(0));
      } catch (ExecutionException | TimeoutException error) {
        text = "no answer: " + error;
      }
      if (!method.equals("GET") && IN_DOUBT.contains(code)) inDoubt = true;
      if (!again || tried == TRIES)
        throw new IllegalStateException(
            (inDoubt ? "it may have taken effect: repeat it with Idempotency-Key " + key + "\n" : "") + text);
      Thread.sleep(waitMs);
    }
  }

  static void send(String phone, String text) throws Exception {
    String body =
        String.format("{\"phone\":%s,\"text\":%s,\"type\":\"normal\"}", quoted(phone), quoted(text));
    String id = member(request("POST", "/v1/sms/send", body), "id");
    String status = "queued";
    for (int n = 0; n < 60 && (status.equals("queued") || status.equals("sending")); n++) {
      if (n > 0) Thread.sleep(500);
      status = member(request("GET", "/v1/messages/" + id, null), "status");
    }
    System.out.println(id + " " + status);
  }

  /** Standard Webhooks: HMAC-SHA-256 of id.timestamp.body under the bytes behind whsec_, in base64. */
  static void verify(byte[] body, String id, String timestamp, String signatures, String secret)
      throws Exception {
    if (Math.abs(System.currentTimeMillis() / 1_000 - Long.parseLong(timestamp)) > 300)
      throw new IllegalStateException("refused: too old");
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(Base64.getDecoder().decode(secret.replaceFirst("^whsec_", "")), "HmacSHA256"));
    ByteArrayOutputStream signed = new ByteArrayOutputStream();
    signed.write((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
    signed.write(body);
    byte[] expected = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(signed.toByteArray()))).getBytes();
    for (String given : signatures.split(" "))
      if (MessageDigest.isEqual(expected, given.getBytes())) {
        String event = new String(body, StandardCharsets.UTF_8);
        System.out.println(member(event, "id") + " " + member(event, "status"));
        return;
      }
    throw new IllegalStateException("refused: no signature is by this secret");
  }

  /** The first member of this name whose value is a string without escapes. */
  static String member(String json, String name) {
    Matcher found = Pattern.compile("\"" + name + "\":\"([^\"\\\\]*)\"").matcher(json);
    if (!found.find()) throw new IllegalStateException("no " + name + " in " + json);
    return found.group(1);
  }

  static String quoted(String text) {
    StringBuilder json = new StringBuilder("\"");
    for (char c : text.toCharArray())
      json.append(c < 0x20 || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
    return json.append('"').toString();
  }

  public static void main(String[] args) throws Exception {
    try {
      if (args.length == 3 && args[0].equals("send")) send(args[1], args[2]);
      else if (args.length == 1 && args[0].equals("verify"))
        verify(
            System.in.readAllBytes(),
            System.getenv("WEBHOOK_ID"),
            System.getenv("WEBHOOK_TIMESTAMP"),
            System.getenv("WEBHOOK_SIGNATURE"),
            System.getenv("WEBHOOK_SECRET"));
      else throw new IllegalStateException("usage: Sluice send PHONE TEXT | verify");
    } catch (IllegalStateException | IOException error) {
      System.err.println(error.getMessage());
      System.exit(1);
    }
  }
}
