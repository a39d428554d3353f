// The JDK's HttpClient: by its default (which asks for HTTP/2 by an upgrade), HTTP/1.1, with expectContinue,
// chunked, over TLS by HTTP/2, and what it makes of a 401.

import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpClient.Version;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Client {
  static void run(HttpClient client, String url, String name, String key, boolean expect,
      Function<String, BodyPublisher> publisher) {
    List<Integer> statuses = new ArrayList<>();
    for (int n = 1; n <= (expect ? 1 : 3); n++) {
      String reference = System.getenv("SLUICE_PREFIX") + "/jdk/" + name + "/" + n;
      String body = "{\"phone\":\"+989121234567\",\"text\":\"x\",\"type\":\"normal\",\"reference\":\""
          + reference + "\"}";
      HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/v1/sms/send"))
          .timeout(Duration.ofSeconds(expect ? 6 : 20)) // it waits for the 100 as long as that
          .header("X-API-Key", key)
          .header("Content-Type", "application/json")
          .header("Idempotency-Key", reference)
          .expectContinue(expect)
          .POST(publisher.apply(body))
          .build();
      try {
        statuses.add(client.send(request, BodyHandlers.ofString()).statusCode());
      } catch (Exception error) {
        statuses.add(0); // no answer
      }
    }
    System.out.println("{\"client\":\"jdk\",\"case\":\"" + name + "\",\"statuses\":" + statuses + "}");
  }

  static SSLContext trusting(String file) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (FileInputStream pem = new FileInputStream(file)) {
      store.setCertificateEntry("edge", CertificateFactory.getInstance("X.509").generateCertificate(pem));
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    return context;
  }

  public static void main(String[] args) throws Exception {
    String url = System.getenv("SLUICE_URL");
    String key = System.getenv("SLUICE_KEY");
    HttpClient upgrading = HttpClient.newHttpClient();
    HttpClient plain = HttpClient.newBuilder().version(Version.HTTP_1_1).build();
    Function<String, BodyPublisher> chunked =
        body -> BodyPublishers.fromPublisher(BodyPublishers.ofString(body));
    run(upgrading, url, "default", key, false, BodyPublishers::ofString);
    run(plain, url, "http1.1", key, false, BodyPublishers::ofString);
    run(plain, url, "expect-continue", key, true, BodyPublishers::ofString);
    run(plain, url, "chunked", key, false, chunked);
    run(plain, url, "unknown-key", "sk_no", false, BodyPublishers::ofString);
    if (!System.getenv("SLUICE_TLS_URL").isEmpty()) {
      HttpClient http2 = HttpClient.newBuilder().sslContext(trusting(System.getenv("SLUICE_CA"))).build();
      run(http2, System.getenv("SLUICE_TLS_URL"), "tls-http2", key, false, BodyPublishers::ofString);
    }
  }
}
