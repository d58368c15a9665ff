import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;

/** Likes a post on X with both clients of the JDK. */
public class Likes {
  public static void main(String[] args) throws Exception {
    URI uri = URI.create("https://api.x.com/2/users/" + System.getenv("X_USER_ID") + "/likes");
    String token = "Bearer " + System.getenv("X_ACCESS_TOKEN");
    String body = "{\"tweet_id\":\"" + System.getenv("X_POST_ID") + "\"}";

    HttpRequest request = HttpRequest.newBuilder(uri).header("Authorization", token).header("Content-Type", "application/json")
        .POST(BodyPublishers.ofString(body)).build();
    expect200(HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).statusCode());

    HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
    connection.setDoOutput(true);
    connection.setRequestProperty("Authorization", token);
    connection.setRequestProperty("Content-Type", "application/json");
    connection.getOutputStream().write(body.getBytes(StandardCharsets.UTF_8));
    expect200(connection.getResponseCode());
  }

  private static void expect200(int status) throws IOException {
    if (status != 200) throw new IOException("status " + status);
  }
}
