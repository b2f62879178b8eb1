package io.github.llmmobile.cli.needle;

import java.util.List;

/** The words of the built-in fillers. None of them is in the needle or the question, and there are no digits. */
final class FillerText {
  private FillerText() {}

  /** What stands for {@code {person}} in the essay. */
  static final List<String> PERSONS = List.of("my aunt", "the gardener", "a retired teacher", "our neighbour",
      "the baker", "an old clockmaker", "the librarian", "my cousin", "a travelling doctor", "the postwoman");

  /** What stands for {@code {place}}. */
  static final List<String> PLACES = List.of("the orchard", "the market square", "the railway station",
      "the old mill", "the reading room", "the upper valley", "the workshop", "the botanical garden", "the north wing",
      "the ferry landing");

  /** What stands for {@code {thing}}. */
  static final List<String> THINGS = List.of("a wooden chair", "a brass lamp", "a box of letters", "a violin",
      "a woollen coat", "a tin of paint", "a worn atlas", "a basket of pears", "a bicycle", "a weaving loom");

  /** What stands for {@code {season}}. */
  static final List<String> SEASONS = List.of("In early spring", "Late in summer", "On autumn evenings",
      "During the long winter", "After the first frost", "In the weeks of rain", "When the days grow short",
      "Around midsummer");

  /** The essay: on patience, craft and the use of things. Each round fills the gaps anew and leaves some out. */
  static final List<String> ESSAY = List.of(
      "People who repair things learn to wait, because wood, glue and paint have hours of their own.",
      "{season} {person} used to carry {thing} to {place} and sit beside it until the light was right.",
      "Nobody was in a hurry there, and yet by the end of the week everything was done.",
      "It is tempting to believe that speed and care are enemies, but the best workers I have met had both.",
      "They moved quickly where nothing could go wrong and slowly where a slip would cost a day.",
      "I asked {person} how one learns the difference.",
      "The answer was that you cannot learn it from a book, only from {thing} that you have spoiled.",
      "{season} the road to {place} is muddy, and whoever walks it has time to think.",
      "Thinking while walking is different from thinking at a desk: the thoughts are shorter, and fewer of them return.",
      "A friend of mine keeps {thing} in the hall, only to think of a conversation that took place beside it.",
      "Memory seems to need such hooks, and a house without them feels like a hotel.",
      "There are towns in which every second shop sells what no one needs, and others in which one finds a hinge, a"
          + " wick or a button within minutes.",
      "I prefer the latter, though I admit that the coffee is usually worse.",
      "{person_} once told me that a good tool disappears while you use it.",
      "What remains is the work: the curve of a handle, the even row of stitches, the door that closes without noise.",
      "{season} children come to {place} and ask what each of the machines is for.",
      "They are content with any explanation, provided that something turns when they pull the lever.",
      "Adults, on the other hand, want to know what it costs.",
      "Once {person} answered that it costs attention, and that attention is paid in advance.",
      "Of course there are days when nothing succeeds, when the saw binds and the varnish stays dull.",
      "On such days it is best to sweep the floor, sharpen the chisels, and go home early.",
      "The next morning {thing} looks different, and often the mistake is plain to see.",
      "I have read that rivers shape a landscape less through floods than through the ordinary flow of ordinary years.",
      "Habits do the same to a person, and they too are seen only from a distance.",
      "{season} one can watch the swallows above {place}, which never seem to fly the same line twice.",
      "Yet whoever drew all their lines on one sheet would find a pattern as regular as lace.",
      "{person_} tried it with a camera and gave up, not because it was difficult, but because looking was better.",
      "Somebody must also do the accounts, order the nails and answer the letters.",
      "That part of the craft has no songs, and still it decides whether the workshop is there next year.",
      "When {person} finally sold {thing}, the buyer asked for its story rather than for its age.",
      "A story is a kind of varnish: it protects what lies below, and it hides a few scratches.",
      "Whether one should sand it off is a question on which honest people disagree.",
      "For my part I leave the scratches, since they show where hands have been.",
      "{season} the windows of {place} are open, and one hears hammering, laughter, and now and then a long silence.",
      "It is in the silences, I think, that the real decisions are made.",
      "Then someone picks up a pencil, marks a line, and the noise begins again.");

  /** The classic kind: the same few sentences over and over. */
  static final List<String> REPEAT = List.of("The meadow is wide.", "The clouds are white.", "The lamp is warm.",
      "Off we go.", "Up the hill and down once more.");

  /** Common words for noise. */
  static final List<String> WORDS = List.of(("able above across add after again age air all along also always among"
      + " animal apple area arm around art ask away baby back bad ball bank base bear beat bed before begin bell best"
      + " better big bird black blow blue board boat body book both bottom box boy branch bread break bright bring"
      + " brother brown build burn busy buy call camp car card care carry case cat catch cause centre chair chance"
      + " change child choose circle city clean clear climb clock close cloth cloud coat cold colour come common cook"
      + " cool corner cost country cover cross crowd cry cup cut dance dark day deep desk dinner direct dog door doubt"
      + " down draw dream dress drink drive drop dry during each ear early earth east easy eat edge egg eight empty end"
      + " enough enter even evening ever every eye face fact fair fall family far farm fast father feed feel few field"
      + " fight fill fine finger fire first fish five floor flow flower fly follow food foot forest form four free"
      + " fresh friend front fruit full game garden gate gather gentle girl give glass go gold good grand great green"
      + " ground group grow guess half hand happy hard hat head hear heart heavy help high hill hold home hope horse"
      + " hot hour house hundred ice idea inch insect island join jump keep kind king kitchen know lady lake land large"
      + " last late laugh lead leaf learn leave left leg letter level life light line list little live long look lose"
      + " lot loud love low machine main make many map mark market match matter meal mean meat meet middle mile milk"
      + " mind minute moon morning mother mountain mouth move music name near neck need never new next nice night nine"
      + " noise noon north nose note nothing notice now oil old open orange order other own page paint pair paper part"
      + " party pass past path pay people picture piece place plain plan plant play point poor post pot press pretty"
      + " print pull push put quick quiet rain raise reach read ready red rest rice rich ride ring rise river road rock"
      + " roll roof room root rope round row run sail salt same sand save say school sea seat second see seed sell send"
      + " sense serve seven shade shape share sharp sheep shine ship shoe shop short shout show side sign silver simple"
      + " sing sister sit six size skin sky sleep slow small smell smile smoke snow soft soil some song soon sound south"
      + " space speak spend spoon spot spread spring square stand star start stay steam step stick still stone stop"
      + " store storm story street strong sugar summer sun sure sweet swim table tail take talk tall taste teach ten"
      + " thick thin thing think thousand three throw tie time tiny tired today together top touch town track train"
      + " travel tree trip true try turn two under until use valley very view visit voice wait walk wall want warm wash"
      + " watch water wave way wear week weight well west wheel white wide wild wind window wing winter wish woman wood"
      + " word work world write yard year yellow young").split(" "));
}
