package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.edge.TinyModels;
import org.junit.jupiter.api.Test;

class LayerCostsTest {
  @Test
  void layersAddUp() {
    LayerCosts costs = LayerCosts.of(10, 3, 10, 2, 1);
    assertEquals(3, costs.lowerMs(1));
    assertEquals(3 + 8 * 2, costs.lowerMs(9));
    assertEquals(3 + 8 * 2 + 10, costs.lowerMs(10));
    assertEquals(10, costs.upperMs(9));
    assertEquals(10 + 7 * 2, costs.upperMs(2));
    assertEquals(costs.lowerMs(10), costs.lowerMs(4) + costs.upperMs(4));
  }

  @Test
  void aModelIsMeasured() {
    SessionOptions options = SessionOptions.builder().threads(1).build();
    LayerCosts whole = LayerCosts.measure(TinyModels.deepModel(), options);
    assertEquals(TinyModels.LAYERS, whole.layers());
    assertTrue(whole.lowerMs(1) > 0 && whole.lastMs() > 0 && whole.layerMs() >= 0 && whole.rowMs() > 0, whole::toString);
    assertTrue(whole.bytesPerPosition() > 0);
    LayerCosts upper = LayerCosts.measureFrom(TinyModels.deepModel(), options, TinyModels.LAYERS - 1);
    assertEquals(upper.lastMs(), upper.layerMs());
  }
}
