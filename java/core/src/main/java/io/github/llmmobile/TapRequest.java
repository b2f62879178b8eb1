package io.github.llmmobile;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * Hidden states to take out of a model: {@link LlmSession#taps}. The residual stream of a model with L layers has
 * 2 L + 1 places: 0 is the input of layer 0, 2 l + 1 lies between the attention and the feed-forward part of layer l,
 * and 2 l + 2 is the layer's output. Not for use by several threads at once.
 */
public final class TapRequest {
  private final List<Integer> places = new ArrayList<>();
  private final List<String> weights = new ArrayList<>();

  private TapRequest() {}

  /**
   * Asks for nothing yet.
   *
   * @return a request (never null)
   */
  public static TapRequest create() {
    return new TapRequest();
  }

  /**
   * Asks for a place of the residual stream too.
   *
   * @param place from 0 to twice the number of layers
   * @return this
   */
  public TapRequest place(int place) {
    places.add(Checks.atLeast("place", place, 0));
    return this;
  }

  /**
   * Asks for what goes into a weight matrix too.
   *
   * @param weight its name, such as {@code blk.0.ffn_down.weight} (required)
   * @return this
   */
  public TapRequest input(String weight) {
    weights.add(Objects.requireNonNull(weight, "weight"));
    return this;
  }

  /** The request as the native interface reads it. */
  String json() {
    JsonArray placeList = new JsonArray();
    places.forEach(placeList::add);
    JsonArray weightList = new JsonArray();
    weights.forEach(weightList::add);
    JsonObject json = new JsonObject();
    json.add("places", placeList);
    json.add("inputs", weightList);
    return json.toString();
  }
}
