"""The closed word classes of English, and the common verbs that carry a story but no relation."""

from __future__ import annotations

from typing import Final

from workbench.memory.relations.lexicon import text_of, word_set

DETERMINERS: Final = word_set(
    """
    the a an this that these those some any no every each another such what which certain several many
    few most
    """
)
POSSESSIVES: Final = word_set("my your his her its our their whose")
SUBJECT_PRONOUNS: Final = word_set("i he she it they we you")
PRONOUNS: Final = word_set(
    """
    i me he him she her it they them we us you himself herself itself themselves myself yourself
    ourselves mine yours hers theirs ours everyone everybody someone somebody anyone anybody nobody
    nothing none neither both everything something anything all
    """
)
NEGATIVE_PRONOUNS: Final = word_set("nobody nothing none neither no-one noone")
RELATIVES: Final = word_set("who whom which that whose where")
CONJUNCTIONS: Final = word_set("and but or nor yet so then & plus")
SUBORDINATORS: Final = word_set(
    """
    because although though while whereas since when whenever if unless until till after before once as
    lest whether wherever that than for even
    """
)
PREPOSITIONS: Final = word_set(
    """
    alongside amidst atop concerning regarding opposite of in on at by with from to into onto upon for
    over under about against toward towards between among amongst amid through throughout during without
    within behind beside besides beyond before after above below across along around despite except near
    off out up down as like unlike via per than past round inside outside until till since but
    """
)
AUXILIARIES: Final = word_set("am is are was were be been being do does did have has had having")
MODALS: Final = word_set("will would can could may might shall should must ought cannot")
NEGATIONS: Final = word_set("not never hardly scarcely barely nowise no-longer")
ADVERBS: Final = word_set(
    """
    still now also always ever too very so quite rather just only even then there here again once
    already yet soon often seldom sometimes perhaps maybe almost nearly well much more most less least
    enough though however therefore instead anyway together apart alone ago today tonight tomorrow
    yesterday nowadays meanwhile otherwise indeed really truly dead long far deep hard forever twice
    likewise thus hence besides moreover furthermore nonetheless nevertheless somewhat halfway utterly
    back everywhere anywhere somewhere anymore by-now downright whatsoever nomore right better best
    worse worst first last altogether simply equally fast clear plain
    """
)
NOT_ADVERBS: Final = word_set(
    """
    ally family only lovely friendly lonely holy silly ugly elderly reply rely apply supply comply fly
    bully belly jelly july italy deadly costly kindly-faced cowardly womanly manly homely folly sly lily
    ghostly princely kingly worldly assembly bodily unruly early monopoly melancholy brotherly sisterly
    fatherly motherly saintly orderly daily doily wooly woolly billy sally molly emily polly holly kelly
    unfriendly sickly
    """
)
ABBREVIATIONS: Final = word_set(
    """
    mr mrs ms dr st sgt lt capt col gen prof rev fr sr jr mme mlle hon gov sen rep insp det cpl pvt cmdr
    no vs etc
    """
)

#: Verbs of ordinary action; they only need to be recognised as verbs.
COMMON_VERBS: Final = word_set(
    """
    accept accuse ache achieve act add adjust advise agree aim allow announce answer appear applaud
    apologise approach approve argue arm arrange arrest arrive ask assign assist attack attend avoid
    award bake balance ban bargain bark bathe beat beg begin believe belong bend betray bet bid bite
    blackmail blame bless block blow board boast boil borrow bother bow break breathe brew bring brush
    build burn burst bury buy call calm camp carry carve catch cause cease challenge change charge charm
    chase chat cheat check cheer choose claim clap clean clear climb close collapse collect come comfort
    command commission compare compete complain complete confess confirm confront consider consult
    contact continue convince cook copy correct cough count counsel cover crawl create cross crouch cry
    cure curse cut dance deal debate decide declare decline defeat defend delay deliver demand deny
    depart deserve destroy dig dine direct disappear discover discuss dismiss divide divorce do dodge
    doubt drag draw dream dress drink drive drop duel dwell earn eat eavesdrop edit emerge employ
    encounter end enjoy enter envy escape escort examine exchange exile expect explain explore face fail
    faint fall feed feel fetch fight file fill find finish fire fish fix flee fling flinch flirt float
    fly fold follow forbid force forget forgive form frown gain gamble gather gaze get give glance glare
    go gossip grab grant greet grin grip groan grow guard guess guide halt hand handle hang happen have
    heal hear help hesitate hide hire hit hold hope hug hum hunt hurl hurry hurt ignore imagine imply
    improve inform inherit injure inspect insist insult intend interrupt interview introduce invite join
    joke journey judge jump keep kick kill kiss kneel knit knock know lack land laugh launch lay lead
    lean leap learn leave lend let lick lie lift light like limp linger listen live load lock long look
    lose maintain make manage march mark marry measure meet mend mention mind miss mistake mix moan mock
    mount mourn move murder mutter name need negotiate nod note notice nurse obey object observe offer
    open oppose order organise outlive overhear own pace pack paint pass pat patrol pause pay perform
    persuade photograph pick place plan plant play plead point poison polish ponder pour practise praise
    pray prepare present press pretend prevent print promise promote propose protect protest prove pull
    punish push put quarrel question quit quote race raise ramble reach read realise rebuild recall
    receive recite recognise recommend record recruit recover refuse regain regret rehearse release
    relieve remain remember remind repair repeat repay replace reply report represent request require
    rescue resign rest retire retreat return reveal review reward ride ring rise roam roar rob roll row
    rub ruin rule run rush sabotage sail salute save say scold score scowl scratch scream search see
    seem seize sell send serve set settle sew shake share sharpen shave shelter shiver shoot shop shout
    shove show shrug shudder shut sigh sign sing sink sip sit sketch skip slap sleep slip smell smile
    smoke smuggle snap sneak sneer snore sob solve sort sound spare speak spell spend spill spit split
    spoil spot spy stab stagger stand stare start starve state stay steal steer step stir stop store
    stray strike stroll struggle study stumble submit succeed suffer suggest summon support suppose
    surprise surrender survive suspect swap swear sweep swim swing switch take talk tap taste taunt
    teach tear tease tell tend testify thank think threaten throw tie toast toss touch trace track trade
    train transfer translate travel treat tremble trick try tuck tug turn type understand unite unload
    untie urge use vanish visit volunteer vote vow wage wait wake walk wander want warn wash watch water
    wave wear weave weep welcome whisper whistle win wink wipe wish withdraw witness wonder work worry
    wrap wrestle write yawn yell adopt banish bandage command confide copy cower cringe defect depend
    double elope ferry forge grieve groom imprison issue jail lodge loot outbid outrank partner patch
    pledge plot predict press quiz raid resemble restore seal seat serve shadow share shield sidestep
    spar sponsor square staff stitch swell tailor teach tidy tour trap tutor vanish vex wed welcome work
    yield hurry hail mumble boom resent prefer tolerate finance fund loan nurse owe cancel wound loathe
    outdo outshine upstage outsell surpass eclipse contradict defy disobey amuse bore puzzle annoy irritate please
    upset infuriate enrage embarrass baffle bewilder confuse console soothe distract excite fascinate impress
    intrigue offend outrage startle stun torment weary humiliate amble dash drift hasten hobble plod trudge stride
    stalk slide soar swerve wade separate begrudge congratulate compliment criticise scrutinise contain contribute
    decorate demonstrate dictate donate endure enlist establish evade exceed expose flourish govern hinder hoist
    identify install interpret invent invest merge outweigh oversee overlook pardon peer possess postpone preach
    prevail prosper provide provoke pursue reassure reject rejoice rent reserve resist resolve respond restrain
    resume retain reunite revise rotate sacrifice salvage scatter scribble slam slaughter smash sprawl squeeze
    stain subdue suck sustain tangle tempt topple trample transform transport tumble unpack unveil utter venture
    verify weigh weld wield wilt worsen smile compose inhabit quake resume adapt adjourn admonish assemble astonish
    attract bequeath bicker breed brood chide clutch collide compete conspire construct conquer crumple cultivate
    dawdle deceive dedicate deepen deprive detain devise devote devour dine disarm disband discard disguise dispute
    dominate dwindle elude embark embrace emigrate endanger enforce engage enlarge entertain entrust erase erupt
    evict exaggerate excuse execute exploit extend extinguish falter flatter flicker gasp glimpse glisten gnaw haul
    heed hover illuminate imitate impose inflict insert inspire instruct intervene intrude invade invoke irrigate
    kindle lament liberate linger loiter lurk manoeuvre memorise misjudge nibble nominate nudge occupy omit
    overcome overtake owe patronise persist pester pierce ponder prod proclaim prosecute prowl quarrel quell
    rebuke recline reckon reconcile recount redeem reign relent relish renounce repel resemble resent retort
    retrieve revolve rival rummage scorn scour scrape sever shatter shun skim slay smuggle snatch soften squabble
    stifle strengthen stray strum summarise suppress surround swallow tackle tighten tremble trick undo
    unearth unfold unlock uphold vacate wander weaken whittle wither wrestle
    deem dub grumble vouch reckon assume presume insinuate allege assert maintain contend gossip rumour
    """
)

#: Verbs that attribute a quotation.
SPEECH: Final = word_set(
    """
    say tell whisper shout cry murmur mutter answer reply ask write admit confess declare announce swear
    add sigh snap growl call laugh sob insist vow promise breathe remark state groan hiss gasp begin
    continue repeat concede mumble exclaim boast warn plead beg roar bark grin smile nod grunt rasp
    snarl stammer chuckle shriek scream yell wail rage thunder bellow spit blurt protest observe lament
    hum croak drawl rejoin retort interject muse confide assure agree think sing
    """
)

#: Verbs that end the feeling that is their subject or their object.
ENDING: Final = word_set(
    """
    die fade vanish end cool evaporate crumble break shatter lose overcome conquer wither collapse melt
    dissolve forget bury disappear expire wane betray abuse reject shake destroy ruin undermine poison
    dent deplete exhaust outgrow shed drop abandon swallow renounce sever dissolve forfeit squander cure
    quench erode sour
    """
)

#: Given names whose sex is usual. A name not listed simply tells nothing.
FEMALE_NAMES: Final = word_set(text_of("female_names.txt"))
MALE_NAMES: Final = word_set(text_of("male_names.txt"))
